//! Compiles `proto/` in pure Rust (protox, so that nobody needs `protoc`) and writes the field catalogue from the
//! `(atena.v1.sensitivity)` options of the contract.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

/// The dataset that is about people themselves; all others are of records about them.
const PERSON: &str = "Person";

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = proto_files(&root.join("atena/v1"))?;
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let with_options = compiler.encode_file_descriptor_set();
    let descriptors = compiler.file_descriptor_set();

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("atena.v1.descriptors.bin"), &with_options)?;
    let pool = DescriptorPool::decode(with_options.as_slice())?;
    fs::write(out.join("catalog.rs"), catalog(&pool)?)?;
    fs::write(out.join("datasets.rs"), record_datasets(&pool)?)?;

    // number-confinement: what can't be formatted can't be logged. (Enums keep their Debug: they are names.)
    let messages: Vec<String> = descriptors
        .file
        .iter()
        .filter(|file| file.package() == "atena.v1")
        .flat_map(|file| &file.message_type)
        .map(|message| format!(".atena.v1.{}", message.name()))
        .collect();
    tonic_prost_build::configure()
        .build_server(false)
        // Released bodies stay the filtered bytes they are: the same wire form, decoded by nobody on the way.
        .extern_path(".atena.v1.ReleasedRecord", "crate::released::ReleasedRecord")
        .extern_path(".atena.v1.Delivery", "crate::delivery::Delivery")
        .skip_debug(messages)
        .compile_fds(descriptors.clone())?;

    // The servers apart: they take the same messages in, but for one that the gateway reads itself.
    let servers = out.join("server");
    fs::create_dir_all(&servers)?;
    tonic_prost_build::configure()
        .build_client(false)
        .out_dir(servers)
        .extern_path(".atena.v1", "crate::v1")
        .extern_path(".atena.v1.PushRecordsRequest", "crate::arriving::PushRecordsRequest")
        .compile_fds(descriptors)?;
    Ok(())
}

fn proto_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The datasets in the order of the contract. Each is named as the message that holds it.
fn datasets(pool: &DescriptorPool) -> Result<Vec<String>, Box<dyn Error>> {
    let datasets = pool.get_enum_by_name("atena.v1.Dataset").ok_or("no enum Dataset")?;
    let named = datasets.values().filter(|value| value.number() != 0).map(|value| {
        let name = value.name().strip_prefix("DATASET_").ok_or("a dataset without its prefix")?;
        let words = name.split('_').filter_map(|word| Some((word.get(..1)?, word.get(1..)?)));
        Ok(words.map(|(first, rest)| format!("{first}{}", rest.to_lowercase())).collect())
    });
    named.collect()
}

/// The datasets of records, as an array.
fn record_datasets(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let names = datasets(pool)?.into_iter().filter(|name| name != PERSON);
    let names: Vec<_> = names.map(|name| format!("Dataset::{name}")).collect();
    let comment = "/// Every dataset of records, in the order of the contract.";
    Ok(format!("{comment}\npub const RECORD_DATASETS: [Dataset; {}] = [{}];\n", names.len(), names.join(", ")))
}

fn catalog(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut source = String::from("&[\n");
    for dataset in datasets(pool)? {
        let message = format!("atena.v1.{dataset}");
        let message = pool.get_message_by_name(&message).ok_or(message)?;
        writeln!(source, "(Dataset::{dataset}, &[")?;
        leaves(pool, &message, "", &[], &mut source)?;
        source.push_str("]),\n");
    }
    source.push(']');
    Ok(source)
}

/// Writes every leaf below `message`; a leaf without a sensitivity stops the build (deny-by-default begins here).
fn leaves(
    pool: &DescriptorPool,
    message: &MessageDescriptor,
    path: &str,
    numbers: &[u32],
    source: &mut String,
) -> Result<(), Box<dyn Error>> {
    let option = pool.get_extension_by_name("atena.v1.sensitivity").ok_or("no sensitivity option")?;
    for field in message.fields() {
        let path = if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
        let numbers = [numbers, &[field.number()]].concat();
        if let Kind::Message(inner) = field.kind() {
            leaves(pool, &inner, &path, &numbers, source)?;
            continue;
        }
        let options = field.options();
        let number = options.get_extension(&option).as_enum_number().unwrap_or_default();
        let sensitivity = match number {
            1 => "PersonalNumber",
            2 => "Identifying",
            3 => "Pension",
            4 => "System",
            _ => {
                return Err(format!("{}.{} has no sensitivity", message.full_name(), field.name()).into());
            }
        };
        writeln!(
            source,
            "FieldEntry {{ path: {path:?}, numbers: &{numbers:?}, sensitivity: Sensitivity::{sensitivity} }},"
        )?;
    }
    Ok(())
}
