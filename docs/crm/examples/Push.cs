// Push contacts, withdraw one, and listen to what comes of it. .NET 8, no packages.
//   CADENCIA_URL=http://127.0.0.1:8080 CADENCIA_KEY=… CADENCIA_CAMPAIGN=winter dotnet run
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

var url = Environment.GetEnvironmentVariable("CADENCIA_URL");
var campaign = Environment.GetEnvironmentVariable("CADENCIA_CAMPAIGN");
using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(30) };
http.DefaultRequestHeaders.Authorization =
    new AuthenticationHeaderValue("Bearer", Environment.GetEnvironmentVariable("CADENCIA_KEY"));

// Sends until there is an answer; the idempotency key makes sure that it is carried out once.
async Task<JsonElement> Call(string path, string body, string type = "application/json")
{
    var idempotency = Guid.NewGuid().ToString("N");
    for (var attempt = 0; ; attempt++)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, $"{url}/api/v1{path}");
            request.Content = new StringContent(body, Encoding.UTF8);
            request.Content.Headers.ContentType = new MediaTypeHeaderValue(type);
            request.Headers.Add("Idempotency-Key", idempotency);
            using var answer = await http.SendAsync(request);
            if ((int)answer.StatusCode is not (429 or 502 or 503 or 504) || attempt == 5)
            {
                var value = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;
                return answer.IsSuccessStatusCode
                    ? value
                    : throw new InvalidOperationException($"{value.GetProperty("error")}: {value.GetProperty("message")}");
            }
        }
        catch (HttpRequestException) when (attempt < 5)
        {
        }
        await Task.Delay(200 << attempt);
    }
}

var rows = new object[]
{
    new { id = "cs-1", phones = new[] { "+34600111262" }, name = "Ana García", fields = new { debt = 129.9 } },
    new { id = "cs-2", phones = new[] { "+34600111263" }, priority = 10 },
};
var lines = string.Join("\n", rows.Select(row => JsonSerializer.Serialize(row)));
var pushed = await Call($"/campaigns/{campaign}/contacts", lines, "application/x-ndjson");
foreach (var item in pushed.GetProperty("items").EnumerateArray())
    Console.WriteLine($"{item.GetProperty("line")} {item.GetProperty("status")} {item.GetProperty("reason")}");

var removal = new { removals = new[] { new { campaign, contact = "cs-2", reason = "has paid" } } };
await Call("/removals", JsonSerializer.Serialize(removal));

// Everything that is kept ("0-0"), then what comes.
using var listen = new HttpRequestMessage(HttpMethod.Get, $"{url}/api/v1/events?types=removal.*&campaign={campaign}");
listen.Headers.Add("Last-Event-ID", "0-0");
using var events = await http.SendAsync(listen, HttpCompletionOption.ResponseHeadersRead);
using var reader = new StreamReader(await events.Content.ReadAsStreamAsync());
while (await reader.ReadLineAsync() is { } line)
{
    if (!line.StartsWith("data: ")) continue;
    var data = JsonDocument.Parse(line[6..]).RootElement;
    Console.WriteLine(data.GetProperty("type"));
    if (data.TryGetProperty("contact", out var contact) && contact.GetString() == "cs-2") break;
}
