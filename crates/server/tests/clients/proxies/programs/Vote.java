import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.URL;

/**
 * Sends the ballots on standard input to the address in the first argument, over one connection while it lasts.
 * A line is a ballot: its body and, if it has one, its id.
 */
public class Vote {
    public static void main(String[] arguments) throws IOException {
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            var fields = line.trim().split(" ");
            var connection = (HttpURLConnection) new URL(arguments[0]).openConnection();
            connection.setReadTimeout(20_000);
            connection.setRequestMethod("POST");
            connection.setDoOutput(true);
            if (fields.length > 1) {
                connection.setRequestProperty("Idempotency-Key", '"' + fields[1] + '"');
            }
            try {
                connection.getOutputStream().write(fields[0].getBytes());
                connection.getInputStream().readAllBytes();
            } catch (IOException lost) {
                var error = connection.getErrorStream();
                if (error != null) {
                    error.readAllBytes();
                }
            }
        }
    }
}
