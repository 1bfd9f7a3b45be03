//! The services of the contract: one folder each, one file an RPC.

pub(crate) mod address;
pub(crate) mod linkage;
pub(crate) mod record;
pub(crate) mod transfer_log;

use crate::transfer::Method;

/// Every method of the contract that is served.
const METHODS: [&[Method]; 4] = [&address::METHODS, &record::METHODS, &linkage::METHODS, &transfer_log::METHODS];

/// The method that is called at `path` (`/atena.v1.<Service>/<Method>`).
pub(crate) fn method(path: &str) -> Option<Method> {
    let name = path.strip_prefix("/atena.v1.")?;
    METHODS.into_iter().flatten().find(|method| method.name == name).copied()
}

/// Every method, in the order of the contract's services.
pub(crate) fn methods() -> impl Iterator<Item = &'static Method> {
    METHODS.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn every_method_of_the_contract_is_known_by_its_path() {
        let files = prost_types::FileDescriptorSet::decode(atena_proto::FILE_DESCRIPTOR_SET).unwrap();
        let mut served = 0;
        for file in files.file.iter().filter(|file| file.package() == "atena.v1") {
            for (service, of_service) in file.service.iter().flat_map(|s| s.method.iter().map(move |m| (s, m))) {
                let path = format!("/atena.v1.{}/{}", service.name(), of_service.name());
                assert!(method(&path).is_some(), "{path}");
                served += 1;
            }
        }
        assert_eq!(served, METHODS.into_iter().flatten().count());
    }
}
