// A vendor's first client: what may this system have, and what has changed since the last time?
//
//     npm ci && npx tsc
//     node first_pull.js HOST:PORT CA.crt SYSTEM.crt SYSTEM.key CURSOR_FOLDER
//
// Each record goes to stdout as one line of JSON. The cursor of each affair is kept in a file, so
// that the next run brings only what has changed.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const PROTO = join(__dirname, "../../proto");

// What this client reads of the contract.
interface Entitlement {
  affair: string;
  dataset: string;
  fields: string[];
}
interface Chunk {
  deliveries: { records: object[]; tombstones: { recordId: string }[] }[];
  nextCursor: Buffer;
}
interface PullRequest {
  affair: string;
  datasets: string[];
  cursor: Buffer;
}
interface Linkage extends grpc.Client {
  listEntitlements(
    request: object,
    answer: (error: grpc.ServiceError | null, answer: { entitlements: Entitlement[] }) => void,
  ): void;
  pullRecords(request: PullRequest): grpc.ClientReadableStream<Chunk>;
}

// Opens a connection over mutual TLS. The certificate says which system this is.
function connect(server: string, authority: string, certificate: string, key: string): Linkage {
  const contract = grpc.loadPackageDefinition(
    loadSync("atena/v1/linkage_service.proto", {
      includeDirs: [PROTO],
      longs: String,
      enums: String,
      oneofs: true,
      arrays: true,
    }),
  ) as unknown as { atena: { v1: { LinkageService: grpc.ServiceClientConstructor } } };
  const credentials = grpc.credentials.createSsl(
    readFileSync(authority),
    readFileSync(key),
    readFileSync(certificate),
  );
  return new contract.atena.v1.LinkageService(server, credentials) as unknown as Linkage;
}

// What the system may have, by affair. Data of people is asked for with GetPerson, not pulled.
async function entitled(linkage: Linkage): Promise<Map<string, Set<string>>> {
  const entitlements = await new Promise<Entitlement[]>((resolve, reject) =>
    linkage.listEntitlements({}, (error, answer) =>
      error ? reject(error) : resolve(answer.entitlements),
    ),
  );
  const affairs = new Map<string, Set<string>>();
  for (const { affair, dataset, fields } of entitlements) {
    console.error(`${affair}: ${fields.join(", ")}`);
    if (dataset !== "DATASET_PERSON") {
      affairs.set(affair, (affairs.get(affair) ?? new Set()).add(dataset));
    }
  }
  return affairs;
}

// Pulls everything that has changed since the cursor, or everything if there is none.
async function pull(linkage: Linkage, affair: string, datasets: string[], cursorFile: string) {
  const cursor = existsSync(cursorFile) ? readFileSync(cursorFile) : Buffer.alloc(0);
  try {
    for await (const chunk of linkage.pullRecords({ affair, datasets, cursor })) {
      const { deliveries, nextCursor } = chunk as Chunk;
      let lines = "";
      for (const { records, tombstones } of deliveries) {
        for (const record of records) {
          lines += JSON.stringify(record) + "\n";
        }
        for (const { recordId } of tombstones) {
          lines += JSON.stringify({ recordId, ended: true }) + "\n";
        }
      }
      // The cursor is kept only when the records before it are safe.
      await new Promise((written) => process.stdout.write(lines, written));
      writeFileSync(cursorFile, nextCursor);
    }
  } catch (error) {
    if (!hasReason(error as grpc.ServiceError, "RULE_CHANGED")) {
      throw error;
    }
    // Another cursor is needed once the rules change. Without one, everything comes again.
    rmSync(cursorFile);
    await pull(linkage, affair, datasets, cursorFile);
  }
}

// Whether a refusal has this stable name (google.rpc.ErrorInfo). The message beside it may change.
function hasReason(error: grpc.ServiceError, reason: string): boolean {
  const details = error.metadata?.get("grpc-status-details-bin") ?? [];
  return details.some((detail) => Buffer.from(detail).includes(reason));
}

async function main() {
  const [server, authority, certificate, key, cursors] = process.argv.slice(2);
  if (!cursors) {
    console.error("node first_pull.js HOST:PORT CA.crt SYSTEM.crt SYSTEM.key CURSOR_FOLDER");
    process.exit(1);
  }
  mkdirSync(cursors, { recursive: true });
  const linkage = connect(server, authority, certificate, key);
  for (const [affair, datasets] of await entitled(linkage)) {
    await pull(linkage, affair, [...datasets].sort(), join(cursors, `${affair}.cursor`));
  }
  linkage.close();
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
