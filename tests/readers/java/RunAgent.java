import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Iterator;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Usage: java RunAgent.java BASE_URL TOKEN AGENT BODY KEY [LAST_ID] */
public class RunAgent {
    static final Set<String> ENDS = Set.of("STOP", "ERROR", "PAUSED", "CANCELLED");
    // In "data", quotes are escaped: this can only be the event's own name.
    static final Pattern NAME = Pattern.compile("\"event\":\"([A-Z_]+)\"");

    /** Hands on each event's id and JSON; `body` is the JSON of a RunRequest. */
    static void runAgent(
            String baseUrl, String token, String agent, String body, String key, String lastId,
            BiConsumer<String, String> onEvent) throws InterruptedException {
        HttpClient client = HttpClient.newHttpClient();
        while (true) {
            HttpRequest.Builder request = HttpRequest
                    .newBuilder(URI.create(baseUrl + "/api/agents/" + agent + "/runs/stream"))
                    .header("Authorization", "Bearer " + token)
                    .header("Content-Type", "application/json")
                    .header("Idempotency-Key", key)
                    .POST(HttpRequest.BodyPublishers.ofString(body));
            if (!lastId.isEmpty()) request.header("Last-Event-ID", lastId);
            try {
                HttpResponse<Stream<String>> answer =
                        client.send(request.build(), BodyHandlers.ofLines());
                if (answer.statusCode() == 204) return; // Nothing follows the last id.
                if (answer.statusCode() != 200)
                    throw new IllegalStateException("HTTP " + answer.statusCode());
                try (Stream<String> lines = answer.body()) {
                    String id = "", data = "";
                    for (Iterator<String> each = lines.iterator(); each.hasNext(); ) {
                        String line = each.next();
                        if (line.startsWith("id: ")) id = line.substring(4);
                        if (line.startsWith("data: ")) data = line.substring(6);
                        if (!line.isEmpty() || data.isEmpty()) continue;
                        lastId = id;
                        onEvent.accept(id, data);
                        Matcher name = NAME.matcher(data);
                        if (name.find() && ENDS.contains(name.group(1))) return;
                        data = "";
                    }
                }
            } catch (IOException | UncheckedIOException broken) {
                // No connection, or a cut; the run goes on without us.
            }
            Thread.sleep(1000);
        }
    }

    public static void main(String[] given) throws Exception {
        runAgent(given[0], given[1], given[2], given[3], given[4], given.length > 5 ? given[5] : "",
                (id, json) -> System.out.println("{\"id\":\"" + id + "\"," + json.substring(1)));
    }
}
