// Makes a poll, votes in it and prints its result, with types made by openapi-typescript and a client of openapi-fetch.
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

declare const process: { argv: string[] };

const [url = "", token = ""] = process.argv.slice(2);
const { GET, POST } = createClient<paths>({ baseUrl: url });

const made = await POST("/api/v1/admin/polls", {
  headers: { Authorization: `Bearer ${token}` },
  body: { slug: "typescript", title: "Which letter?", options: ["Alpha", "Beta"], opens_at: "now", closes_at: "+2h" },
});
if (made.error) throw new Error(made.error.detail);
const { slug } = made.data;

const cast = await POST("/api/v1/polls/{slug}/ballots", {
  params: { path: { slug } },
  body: { ballot_id: "018f4d1e-7c00-7000-8000-000000000001", choices: [1] },
});
if (cast.error) throw new Error(cast.error.detail);
console.log(cast.data.status);

const results = await GET("/api/v1/polls/{slug}/results", { params: { path: { slug } } });
if (results.error || !results.data) throw new Error(results.error?.detail);
for (const { label, count } of results.data.options) console.log(`${label}: ${count}`);

const refused = await POST("/api/v1/polls/{slug}/ballots", {
  params: { path: { slug } },
  body: { ballot_id: "018f4d1e-7c00-7000-8000-000000000002", choices: [9] },
});
console.log(refused.error?.code);
