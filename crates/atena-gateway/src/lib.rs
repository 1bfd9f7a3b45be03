//! The gRPC gateway: who is calling, may they, read, log, answer.
