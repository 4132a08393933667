// Push contacts, withdraw one, and listen to what comes of it. No packages: .NET 8, .NET Framework 4.7.2, or Mono:
//   mcs -r:System.Net.Http,System.Runtime.Serialization,System.Xml,System.Xml.Linq Push.cs
//   CADENCIA_URL=http://127.0.0.1:8080 CADENCIA_KEY=… CADENCIA_CAMPAIGN=winter mono Push.exe      (or: dotnet run)
using System;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Threading.Tasks;
using System.Xml.Linq;

// What is sent, by the names of the contract.
[DataContract]
public class Contact
{
    [DataMember] public string id;
    [DataMember] public string[] phones;
    [DataMember(EmitDefaultValue = false)] public string name;
    [DataMember(EmitDefaultValue = false)] public int priority;
    [DataMember(EmitDefaultValue = false)] public Fields fields;
}

[DataContract]
public class Fields
{
    [DataMember] public double debt;
}

[DataContract]
public class Removal
{
    [DataMember] public string campaign;
    [DataMember] public string contact;
    [DataMember] public string reason;
}

[DataContract]
public class Removals
{
    [DataMember] public Removal[] removals;
}

public static class Push
{
    private static readonly string Url = Environment.GetEnvironmentVariable("CADENCIA_URL");
    private static readonly string Campaign = Environment.GetEnvironmentVariable("CADENCIA_CAMPAIGN");
    private static readonly HttpClient Http = new HttpClient { Timeout = TimeSpan.FromSeconds(30) };

    public static void Main()
    {
        Run().GetAwaiter().GetResult();
    }

    private static async Task Run()
    {
        Http.DefaultRequestHeaders.Authorization =
            new AuthenticationHeaderValue("Bearer", Environment.GetEnvironmentVariable("CADENCIA_KEY"));

        var rows = new[]
        {
            new Contact { id = "cs-1", phones = new[] { "+34600111262" }, name = "Ana García", fields = new Fields { debt = 129.9 } },
            new Contact { id = "cs-2", phones = new[] { "+34600111263" }, priority = 10 },
        };
        var lines = string.Join("\n", rows.Select(Json));
        var pushed = await Call("/campaigns/" + Campaign + "/contacts", lines, "application/x-ndjson");
        foreach (var item in pushed.Element("items").Elements())
        {
            Console.WriteLine("{0} {1} {2}", item.Element("line").Value, item.Element("status").Value, item.Element("reason").Value);
        }

        var removal = new Removal { campaign = Campaign, contact = "cs-2", reason = "has paid" };
        await Call("/removals", Json(new Removals { removals = new[] { removal } }));
        await Listen();
    }

    // Sends until there is an answer; the idempotency key makes sure that it is carried out once.
    private static async Task<XElement> Call(string path, string body, string type = "application/json")
    {
        var idempotency = Guid.NewGuid().ToString("N");
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                using (var request = new HttpRequestMessage(HttpMethod.Post, Url + "/api/v1" + path))
                {
                    request.Content = new StringContent(body, Encoding.UTF8);
                    request.Content.Headers.ContentType = new MediaTypeHeaderValue(type);
                    request.Headers.Add("Idempotency-Key", idempotency);
                    using (var answer = await Http.SendAsync(request))
                    {
                        var again = new[] { 429, 502, 503, 504 }.Contains((int)answer.StatusCode);
                        if (!again || attempt == 5)
                        {
                            var value = Parse(await answer.Content.ReadAsStringAsync());
                            if (answer.IsSuccessStatusCode) return value;
                            throw new InvalidOperationException(value.Element("error").Value + ": " + value.Element("message").Value);
                        }
                    }
                }
            }
            catch (HttpRequestException)
            {
                if (attempt == 5) throw;
            }
            await Task.Delay(200 << attempt);
        }
    }

    // Everything that is kept ("0-0"), then what comes.
    private static async Task Listen()
    {
        var request = new HttpRequestMessage(HttpMethod.Get, Url + "/api/v1/events?types=removal.*&campaign=" + Campaign);
        request.Headers.Add("Last-Event-ID", "0-0");
        using (var events = await Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead))
        using (var reader = new StreamReader(await events.Content.ReadAsStreamAsync()))
        {
            string line;
            while ((line = await reader.ReadLineAsync()) != null)
            {
                if (!line.StartsWith("data: ", StringComparison.Ordinal)) continue;
                var data = Parse(line.Substring(6));
                Console.WriteLine(data.Element("type").Value);
                if ((string)data.Element("contact") == "cs-2") return;
            }
        }
    }

    private static string Json<T>(T value)
    {
        using (var stream = new MemoryStream())
        {
            new DataContractJsonSerializer(typeof(T)).WriteObject(stream, value);
            return Encoding.UTF8.GetString(stream.ToArray());
        }
    }

    // JSON as elements: {"items": [{"line": 1}]} has items/item/line.
    private static XElement Parse(string json)
    {
        var reader = JsonReaderWriterFactory.CreateJsonReader(Encoding.UTF8.GetBytes(json), System.Xml.XmlDictionaryReaderQuotas.Max);
        using (reader) return XElement.Load(reader);
    }
}
