/**
 * The main job by itself: starts the program as `npm start` does, on free ports and in a directory that is thrown away; sends a receipt through Mailgun's
 * official SDK and one through SMTP with a login over STARTTLS; waits until both were delivered, over real SMTP, to the sandbox; and
 * prints both stories as `postrider why` tells them. Exit status 0 only if all of it happened.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import Mailgun from 'mailgun.js';
import { createTransport } from 'nodemailer';
import { environment, postrider, startProgram } from './program.ts';
import type { Program } from './program.ts';

/** All of it takes a few seconds; these limits only end what never comes, also on a busy machine. */
const START_MS = 40_000;
const DELIVERY_MS = 30_000;
const LOOK_EVERY_MS = 50;
const DEADLINE_MS = 55_000;

interface Credentials {
  readonly apiKey: string;
  readonly domain: string;
  readonly smtpLogin: string;
  readonly smtpPassword: string;
}

const data = mkdtempSync(join(tmpdir(), 'postrider-demo-'));
const env = environment(data, { POSTRIDER_LOG_LEVEL: 'warn' });
let program: Program | undefined;
const startedMs = performance.now();
// Whatever hangs: it ends, and says so.
const deadline = setTimeout(() => {
  process.stderr.write(`\nThe demo failed: it was not done after ${DEADLINE_MS / 1000} seconds\n`);
  program?.child.kill('SIGKILL');
  rmSync(data, { recursive: true, force: true });
  process.exit(1);
}, DEADLINE_MS);
try {
  step('starting Postrider in development mode');
  program = await startProgram(['--dev'], env, START_MS);
  const http = `http://${door(program, 'http')}`;
  const smtp = door(program, 'submission');
  note(`ready in ${seconds(startedMs)}: HTTP API on ${http}, SMTP on ${smtp}`);
  const credentials = JSON.parse(readFileSync(join(data, 'dev-credentials.json'), 'utf8')) as Credentials;

  step("a receipt through Mailgun's SDK for JavaScript, with only its URL changed");
  const byApi = await sendByApi(http, credentials);
  note(`accepted: <${byApi}>`);

  step('a receipt through SMTP with nodemailer, logged in over STARTTLS');
  const bySmtp = await sendBySmtp(smtp, credentials);
  note(`accepted: <${bySmtp}>`);

  step('waiting until the sandbox has received both over SMTP');
  const sent = performance.now();
  await until(async () => (await deliveredCount(http, credentials)) === 2, 'both messages are delivered');
  const captured = await subjects(http, credentials);
  note(`delivered after ${seconds(sent)}: ${captured.map((subject) => `"${subject}"`).join(' and ')}`);
  if (captured.length !== 2) throw new Error(`the sandbox shows ${captured.length} messages instead of 2`);

  for (const id of [byApi, bySmtp]) {
    step(`postrider why '<${id}>'`);
    const { status, out, error } = await postrider(['why', `<${id}>`], env);
    if (status !== 0 || !out.includes('delivered')) throw new Error(`the story of <${id}> does not tell a delivery: ${out}${error}`);
    process.stdout.write(out.replace(/^/gm, '  ').trimEnd() + '\n');
  }

  step('stopping');
  const { status, error } = await program.stop();
  if (status !== 0) throw new Error(`it ended with status ${status ?? 'none'}: ${error}`);
  process.stdout.write(`\nAll of it happened, in ${seconds(startedMs)}. Try it yourself: npm start\n`);
} catch (error) {
  process.stderr.write(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  clearTimeout(deadline);
  if (program?.child.exitCode === null) await program.stop('SIGKILL');
  rmSync(data, { recursive: true, force: true });
}

async function sendByApi(url: string, { apiKey, domain }: Credentials): Promise<string> {
  const client = new Mailgun(FormData).client({ username: 'api', key: apiKey, url });
  const answer = await client.messages.create(domain, {
    from: `Corner Shop <shop@${domain}>`,
    to: ['Alice Example <alice@example.com>'],
    subject: 'Your receipt 1001',
    text: 'Thank you. 2 × coffee, 7.00',
    html: '<p>Thank you.</p><p>2 × coffee, <b>7.00</b></p>',
    'o:tag': ['receipt'],
  });
  if (answer.status !== 200 || answer.id === undefined) throw new Error(`the API answered ${answer.status}: ${answer.message ?? ''}`);
  return bare(answer.id);
}

async function sendBySmtp(address: string, { domain, smtpLogin, smtpPassword }: Credentials): Promise<string> {
  const { hostname: host, port } = new URL(`smtp://${address}`);
  const transport = createTransport({
    host,
    port: Number(port),
    requireTLS: true,
    auth: { user: smtpLogin, pass: smtpPassword },
    tls: { ca: readFileSync(join(data, 'tls', 'self-signed.crt')) },
  });
  try {
    const info = await transport.sendMail({
      from: `Corner Shop <shop@${domain}>`,
      to: 'Bob Example <bob@example.net>',
      subject: 'Your receipt 1002',
      text: 'Thank you. 1 × tea, 3.00',
      attachments: [{ filename: 'receipt.txt', content: '1 × tea, 3.00' }],
    });
    return bare(info.messageId);
  } finally {
    transport.close();
  }
}

/** How many delivered events the domain has. */
async function deliveredCount(url: string, credentials: Credentials): Promise<number> {
  const { items } = await ask<{ items: readonly object[] }>(`${url}/v3/${credentials.domain}/events?event=delivered`, credentials);
  return items.length;
}

/** Subjects of what the sandbox captured, oldest first. */
async function subjects(url: string, credentials: Credentials): Promise<string[]> {
  const { items } = await ask<{ items: readonly { subject: string }[] }>(`${url}/v1/sandbox/messages`, credentials);
  return items.map((item) => item.subject).toReversed();
}

async function ask<T>(url: string, { apiKey }: Credentials): Promise<T> {
  const authorization = `Basic ${Buffer.from(`api:${apiKey}`).toString('base64')}`;
  const answer = await fetch(url, { headers: { authorization }, signal: AbortSignal.timeout(DELIVERY_MS) });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as T;
}

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = performance.now() + DELIVERY_MS;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`after ${DELIVERY_MS / 1000} seconds it is not yet so that ${what}`);
    await pause(LOOK_EVERY_MS);
  }
}

function door({ doors }: Program, service: string): string {
  const [address] = doors.get(service) ?? [];
  if (address === undefined) throw new Error(`no ${service} listener is open`);
  return address;
}

function bare(messageId: string): string {
  return messageId.replace(/^<(.*)>$/, '$1');
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}

function step(text: string): void {
  process.stdout.write(`\n▸ ${text}\n`);
}

function note(text: string): void {
  process.stdout.write(`  ${text}\n`);
}
