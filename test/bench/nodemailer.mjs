// Mails by nodemailer's pool, as its manual sets it up. usage:
// node nodemailer.mjs PORT CONNECTIONS COUNT; prints mails per second.
import nodemailer from "nodemailer";

const [port, connections, count] = process.argv.slice(2).map(Number);
const pool = nodemailer.createTransport({ pool: true, host: "127.0.0.1", port, ignoreTLS: true,
	maxConnections: connections, maxMessages: Infinity });
const line = "You are invited to join the organization on our platform, with this link. ".slice(0, 70);
const text = (line + "\n").repeat(12);
const html = `<p>${(line + "<br>\n").repeat(30)}</p>`; // as long as an invitation
const began = performance.now();
await Promise.all(Array.from({ length: count }, (_, n) => pool.sendMail({ from: "no-reply@example.org",
	to: `p${n}@example.org`, subject: "You are invited", text, html })));
console.log(count / ((performance.now() - began) / 1000));
pool.close();
