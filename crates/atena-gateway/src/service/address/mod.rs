//! AddressService: people, their numbers, and which local number each system uses for them.

mod candidate;
mod get_person;
mod inbound;
mod merge;
mod number;
mod plan;
mod register;
mod register_person;
mod register_persons;
mod replace_personal_number;
mod resolve_numbers;
mod review;
mod seal;

use std::sync::Arc;

use atena_ledger::Direction;
use atena_proto::v1;
use atena_proto::v1::address_service_server::AddressService;
use tonic::{Request, Response, Status, Streaming};

use crate::call::{self, AnswerStream};
use crate::hall::Hall;
use crate::transfer::Method;

/// The service.
pub(crate) struct Address {
    pub(crate) hall: Arc<Hall>,
}

const REGISTER_PERSON: Method = Method { name: "AddressService/RegisterPerson", direction: Direction::Inbound };
const REGISTER_PERSONS: Method = Method { name: "AddressService/RegisterPersons", direction: Direction::Inbound };
const GET_PERSON: Method = Method { name: "AddressService/GetPerson", direction: Direction::Outbound };
const RESOLVE_NUMBERS: Method = Method { name: "AddressService/ResolveNumbers", direction: Direction::Outbound };
const REPLACE_PERSONAL_NUMBER: Method =
    Method { name: "AddressService/ReplacePersonalNumber", direction: Direction::Inbound };

/// The methods of this service.
pub(super) const METHODS: [Method; 5] =
    [REGISTER_PERSON, REGISTER_PERSONS, GET_PERSON, RESOLVE_NUMBERS, REPLACE_PERSONAL_NUMBER];

#[tonic::async_trait]
impl AddressService for Address {
    type RegisterPersonsStream = AnswerStream<v1::RegisterPersonsResponse>;

    async fn register_person(
        &self,
        request: Request<v1::RegisterPersonRequest>,
    ) -> Result<Response<v1::RegisterPersonResponse>, Status> {
        call::unary(&self.hall, REGISTER_PERSON, request, register_person::run).await
    }

    async fn register_persons(
        &self,
        request: Request<Streaming<v1::RegisterPersonsRequest>>,
    ) -> Result<Response<Self::RegisterPersonsStream>, Status> {
        call::stream(&self.hall, REGISTER_PERSONS, request, register_persons::run).await
    }

    async fn get_person(
        &self,
        request: Request<v1::GetPersonRequest>,
    ) -> Result<Response<v1::GetPersonResponse>, Status> {
        call::unary(&self.hall, GET_PERSON, request, get_person::run).await
    }

    async fn resolve_numbers(
        &self,
        request: Request<v1::ResolveNumbersRequest>,
    ) -> Result<Response<v1::ResolveNumbersResponse>, Status> {
        call::unary(&self.hall, RESOLVE_NUMBERS, request, resolve_numbers::run).await
    }

    async fn replace_personal_number(
        &self,
        request: Request<v1::ReplacePersonalNumberRequest>,
    ) -> Result<Response<v1::ReplacePersonalNumberResponse>, Status> {
        call::unary(&self.hall, REPLACE_PERSONAL_NUMBER, request, replace_personal_number::run).await
    }
}
