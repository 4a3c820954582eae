// Ends with 0 if the host serves, or if it offers a service: `node health-check.js http://host:8080 storage`.
const [hostUrl = "", service = ""] = process.argv.slice(2);
const answer = await fetch(`${hostUrl}/connectplugin.health.v1.HealthService/Check`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ service }),
  signal: AbortSignal.timeout(2_000),
});
const body = await answer.text();
if (!body.includes('"SERVING_STATUS_SERVING"')) throw new Error(`${hostUrl} answered ${answer.status}: ${body}`);
