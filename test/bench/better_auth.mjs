// Invitations by better-auth, as its manual sets it up: the organization
// plugin on PostgreSQL, no mail sent. usage: node better_auth.mjs CLIENTS SECONDS
// Prints invitations per second.
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { organization } from "better-auth/plugins";
import pg from "pg";

const [clients, seconds] = process.argv.slice(2).map(Number);
const auth = betterAuth({
	database: new pg.Pool({ host: process.env.PGHOST, port: Number(process.env.PGPORT), user: "postgres",
		database: process.env.PGDATABASE, max: clients }),
	secret: "a secret that is long enough for a benchmark",
	baseURL: "http://127.0.0.1",
	telemetry: { enabled: false },
	rateLimit: { enabled: false },
	emailAndPassword: { enabled: true },
	plugins: [organization({ invitationLimit: 1e9, sendInvitationEmail: async () => {} })],
});
await (await getMigrations(auth.options)).runMigrations();

const run = `${process.pid}x${Date.now()}`;
const { headers: answer } = await auth.api.signUpEmail({
	body: { email: `owner${run}@example.com`, password: "correct horse battery staple", name: "Olivia" },
	returnHeaders: true,
});
const headers = new Headers({ cookie: answer.getSetCookie().map((cookie) => cookie.split(";")[0]).join("; ") });
const home = await auth.api.createOrganization({ body: { name: "Acme", slug: `acme${run}` }, headers });

let made = 0;
const invite = () => auth.api.createInvitation({
	body: { email: `p${made++}x${run}@example.com`, role: "member", organizationId: home.id }, headers,
});
for (let n = 0; n < 20; n++)
	await invite();
const before = made;
const began = performance.now();
await Promise.all(Array.from({ length: clients }, async () => {
	while (performance.now() - began < seconds * 1000)
		await invite();
}));
console.log((made - before) / ((performance.now() - began) / 1000));
process.exit(0);
