import atena.v1.Dataset;
import atena.v1.Delivery;
import atena.v1.Entitlement;
import atena.v1.LinkageServiceGrpc;
import atena.v1.LinkageServiceGrpc.LinkageServiceBlockingStub;
import atena.v1.ListEntitlementsRequest;
import atena.v1.PullRecordsRequest;
import atena.v1.PullRecordsResponse;
import atena.v1.ReleasedRecord;
import atena.v1.Tombstone;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnknownFieldSet;
import com.google.protobuf.util.JsonFormat;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.StatusProto;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * A vendor's first client: what may this system have, and what has changed since the last time?
 *
 * <pre>java FirstPull HOST:PORT CA.crt SYSTEM.crt SYSTEM.key CURSOR_FOLDER</pre>
 *
 * Each record goes to stdout as one line of JSON. The cursor of each affair is kept in a file, so
 * that the next run brings only what has changed.
 */
public final class FirstPull {
    private static final JsonFormat.Printer JSON = JsonFormat.printer().omittingInsignificantWhitespace();

    private final LinkageServiceBlockingStub linkage;
    private final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private FirstPull(ManagedChannel channel) {
        linkage = LinkageServiceGrpc.newBlockingStub(channel);
    }

    public static void main(String[] arguments) throws IOException {
        if (arguments.length != 5) {
            System.err.println("FirstPull HOST:PORT CA.crt SYSTEM.crt SYSTEM.key CURSOR_FOLDER");
            System.exit(1);
        }
        Path cursors = Files.createDirectories(Path.of(arguments[4]));
        ManagedChannel channel = connect(arguments[0], arguments[1], arguments[2], arguments[3]);
        try {
            FirstPull client = new FirstPull(channel);
            for (Map.Entry<String, Set<Dataset>> affair : client.entitled().entrySet()) {
                client.pull(affair.getKey(), affair.getValue(), cursors.resolve(affair.getKey() + ".cursor"));
            }
        } finally {
            channel.shutdownNow();
        }
    }

    /** Opens a connection over mutual TLS. The certificate says which system this is. */
    private static ManagedChannel connect(String server, String authority, String certificate, String key)
            throws IOException {
        var tls = GrpcSslContexts.forClient()
                .protocols("TLSv1.3")
                .trustManager(new File(authority))
                .keyManager(new File(certificate), new File(key))
                .build();
        return NettyChannelBuilder.forTarget(server).sslContext(tls).build();
    }

    /** What the system may have, by affair. Data of people is asked for with GetPerson, not pulled. */
    private Map<String, Set<Dataset>> entitled() {
        Map<String, Set<Dataset>> affairs = new TreeMap<>();
        var answer = linkage.listEntitlements(ListEntitlementsRequest.getDefaultInstance());
        for (Entitlement entitlement : answer.getEntitlementsList()) {
            System.err.println(entitlement.getAffair() + ": " + String.join(", ", entitlement.getFieldsList()));
            if (entitlement.getDataset() != Dataset.DATASET_PERSON) {
                affairs.computeIfAbsent(entitlement.getAffair(), affair -> new TreeSet<>())
                        .add(entitlement.getDataset());
            }
        }
        return affairs;
    }

    /** Pulls everything that has changed since the cursor, or everything if there is none. */
    private void pull(String affair, Set<Dataset> datasets, Path cursorFile) throws IOException {
        byte[] cursor = Files.exists(cursorFile) ? Files.readAllBytes(cursorFile) : new byte[0];
        PullRecordsRequest request = PullRecordsRequest.newBuilder()
                .setAffair(affair)
                .addAllDatasets(datasets)
                .setCursor(ByteString.copyFrom(cursor))
                .build();
        try {
            Iterator<PullRecordsResponse> chunks = linkage.pullRecords(request);
            while (chunks.hasNext()) {
                PullRecordsResponse chunk = chunks.next();
                for (Delivery delivery : chunk.getDeliveriesList()) {
                    print(delivery);
                }
                // The cursor is kept only when the records before it are safe.
                out.flush();
                Files.write(cursorFile, chunk.getNextCursor().toByteArray());
            }
        } catch (StatusRuntimeException error) {
            if (!reason(error).equals("RULE_CHANGED")) {
                throw error;
            }
            // Another cursor is needed once the rules change. Without one, everything comes again.
            Files.delete(cursorFile);
            pull(affair, datasets, cursorFile);
        }
    }

    private void print(Delivery delivery) throws InvalidProtocolBufferException {
        for (ReleasedRecord record : delivery.getRecordsList()) {
            out.println(JSON.print(record));
        }
        for (Tombstone tombstone : delivery.getTombstonesList()) {
            out.println("{\"recordId\":\"" + tombstone.getRecordId() + "\",\"ended\":true}");
        }
    }

    /**
     * The stable name of a refusal, such as RULE_CHANGED. The message beside it may change.
     *
     * <p>It is field 1 of google.rpc.ErrorInfo. Read as below it needs no newer common protos.
     */
    private static String reason(StatusRuntimeException error) throws InvalidProtocolBufferException {
        var status = StatusProto.fromThrowable(error);
        if (status == null) {
            return "";
        }
        for (Any detail : status.getDetailsList()) {
            if (detail.getTypeUrl().endsWith("/google.rpc.ErrorInfo")) {
                var reason = UnknownFieldSet.parseFrom(detail.getValue()).getField(1);
                return reason.getLengthDelimitedList().get(0).toStringUtf8();
            }
        }
        return "";
    }
}
