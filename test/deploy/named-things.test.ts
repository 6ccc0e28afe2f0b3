/**
 * What deploy/ and the pages about it say of Postrider is true of the program: settings and commands exist, configurations are configurations, ports meet,
 * times are long enough, and every value of the chart is declared, used and explained. What it says to others (systemd, Docker, Kubernetes) is not judged here.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { loadConfig } from '#app/config.ts';
import { ALL_SETTINGS } from '#app/settings.ts';
import { COMMANDS } from '#cli/main.ts';

const root = join(import.meta.dirname, '../..');
/** A stop takes this long at most; README.md says so. */
const STOP_SECONDS = 30;
/** No settings, but variables that the program reads. */
const OTHER_VARIABLES = ['POSTRIDER_API_KEY', 'POSTRIDER_CONFIG'];
const PAGES = ['docs/deploying.md', 'docs/cluster.md', 'docs/scaling.md'].filter((page) => existsSync(join(root, page)));

const files = readdirSync(join(root, 'deploy'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  .filter((path) => !path.includes('/secrets/'));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const yaml = (path: string): Record<string, unknown> => parse(read(path), { merge: true }) as Record<string, unknown>;

test('every POSTRIDER_ variable is a setting', () => {
  const known = [...ALL_SETTINGS.map(({ environment }) => environment), ...OTHER_VARIABLES];
  const named = [...files, ...PAGES].flatMap((path) => [...read(path).matchAll(/POSTRIDER_[A-Z_]+/g)].map(([name]) => ({ path, name })));
  assert.ok(named.length > 20, `${named.length} variables were found`);
  // What Kubernetes would make of a service's name is named to say that it is no setting.
  const unknown = named.filter(({ name }) => !known.includes(name) && name !== 'POSTRIDER_PORT');
  assert.deepEqual(unknown, []);
});

test('every command of Postrider exists', () => {
  const calls = [...files, ...PAGES].flatMap((path) =>
    [
      ...read(path).matchAll(/^(?!#).*?(?:bin\/postrider|postrider-admin|-- postrider|exec node\d postrider) ([a-z-]+)(?: ([a-z-]+))?/gm),
    ].map(([, first, second]) => ({ path, first: first as string, second })),
  );
  assert.ok(calls.length > 3, `${calls.length} calls were found`);
  const names = COMMANDS.map(({ name }) => name);
  const unknown = calls.filter(({ first, second }) => !names.includes(first) && !names.includes(`${first} ${second ?? ''}`));
  assert.deepEqual(unknown, []);
});

test('every configuration file, and every one in the pages, is a configuration', (t) => {
  const toml = files.filter((path) => /\.toml(\.example)?$/.test(path));
  assert.deepEqual(toml.sort(), [
    'deploy/compose/postrider.toml',
    'deploy/container/postrider.toml',
    'deploy/systemd/postrider.toml.example',
  ]);
  for (const path of toml) loadConfig({ file: join(root, path), env: {} });
  const directory = mkdtempSync(join(tmpdir(), 'postrider-pages-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const blocks = PAGES.flatMap((page) => [...read(page).matchAll(/^```toml\n([^]*?)^```$/gm)].map(([, text]) => text as string));
  assert.ok(blocks.length > 0);
  for (const [nth, text] of blocks.entries()) {
    const file = join(directory, `${nth}.toml`);
    writeFileSync(file, text);
    loadConfig({ file, env: {} });
  }
});

test('times to stop leave the program its own', () => {
  const unit = read('deploy/systemd/postrider.service');
  assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]) > STOP_SECONDS);
  const { services } = yaml('deploy/compose/compose.yaml') as { services: Record<string, Record<string, unknown>> };
  for (const name of ['node1', 'node2', 'node3'])
    assert.ok(Number.parseInt(String(services[name]?.['stop_grace_period']), 10) > STOP_SECONDS);
  const { shutdown } = yaml('deploy/helm/postrider/values.yaml') as { shutdown: Record<string, number> };
  assert.ok((shutdown['graceSeconds'] as number) - (shutdown['preStopSeconds'] as number) > STOP_SECONDS);
});

test('the unit allows as many descriptors as the settings allow connections', () => {
  const { http, limits, delivery } = loadConfig({ env: {} });
  const needed = http.connections + limits.connections + delivery.connectionsTotal;
  assert.ok(Number(/^LimitNOFILE=(\d+)$/m.exec(read('deploy/systemd/postrider.service'))?.[1]) > needed + 1000);
});

test("the image's ports are those that its configuration opens, and that the balancer, Compose and the chart speak to", () => {
  const image = portsOf(join(root, 'deploy/container/postrider.toml'));
  const exposed = /^EXPOSE (.*)$/m.exec(read('deploy/container/Dockerfile'))?.[1]?.split(' ').map(Number);
  assert.deepEqual(exposed, [image.http, image.submission, image.submissions, image.inbound]);
  assert.deepEqual(portsOf(join(root, 'deploy/compose/postrider.toml')), image);

  const haproxy = read('deploy/compose/haproxy.cfg');
  for (const node of ['node1', 'node2', 'node3']) {
    const targets = [...haproxy.matchAll(new RegExp(`^ +server ${node} ${node}:(\\d+)`, 'gm'))].map(([, port]) => Number(port));
    assert.deepEqual(targets, [image.submission, image.submissions, image.inbound, image.http]);
  }
  assert.ok([...haproxy.matchAll(/ port (\d+)$/gm)].every(([, port]) => Number(port) === image.http));
  const bound = [...haproxy.matchAll(/^ +bind :(\d+)$/gm)].map(([, port]) => `${String(port)}:${String(port)}`);
  const compose = yaml('deploy/compose/compose.yaml') as { services: Record<string, { ports?: string[] }> };
  assert.deepEqual(bound.sort(), [...(compose.services['balancer']?.ports ?? [])].sort());

  const set = read('deploy/helm/postrider/templates/statefulset.yaml');
  const container = (name: string): number => Number(new RegExp(`name: ${name}\\n +containerPort: (\\d+)`).exec(set)?.[1]);
  const listens = (name: string): number => Number(new RegExp(`name: POSTRIDER_${name}\\n +value: 0\\.0\\.0\\.0:(\\d+)`).exec(set)?.[1]);
  assert.equal(container('http'), listens('HTTP_LISTEN'));
  assert.equal(container('submission'), listens('SMTP_SUBMISSION'));
  assert.equal(container('submissions'), listens('SMTP_SUBMISSIONS'));
  assert.equal(container('inbound'), listens('SMTP_INBOUND'));
});

test('Compose gives each node what its configuration reads, and takes the balancer at its word only', () => {
  const compose = yaml('deploy/compose/compose.yaml') as {
    services: Record<string, { secrets?: string[]; networks?: { front: { ipv4_address: string } } }>;
    secrets: Record<string, { file: string }>;
  };
  const text = read('deploy/compose/postrider.toml');
  const wanted = [...text.matchAll(/\/run\/secrets\/(\w+)/g)].map(([, name]) => name as string);
  assert.ok(wanted.length === 4, wanted.join(' '));
  const script = read('deploy/compose/make-secrets.sh');
  for (const name of wanted) {
    for (const node of ['node1', 'node2', 'node3']) assert.ok(compose.services[node]?.secrets?.includes(name), `${node} has ${name}`);
    assert.ok(script.includes(compose.secrets[name]?.file.replace('./', '') as string), `make-secrets.sh makes ${name}`);
  }
  const { smtp } = loadConfig({ file: join(root, 'deploy/compose/postrider.toml'), env: {} });
  assert.deepEqual(smtp.proxyFrom, [compose.services['balancer']?.networks?.front.ipv4_address]);
});

test("the chart's values are what its schema asks for, and nothing else is taken", () => {
  const check = new Ajv({ strict: true, allowUnionTypes: true }).compile(JSON.parse(read('deploy/helm/postrider/values.schema.json')));
  const values = yaml('deploy/helm/postrider/values.yaml');
  assert.ok(check(values), JSON.stringify(check.errors));
  assert.equal(check({ ...values, node: 3 }), false);
  assert.equal(check({ ...values, store: { url: 'mysql://db' } }), false);
});

test('every value of the chart is used, explained and declared', () => {
  const text = read('deploy/helm/postrider/values.yaml');
  const templates = files
    .filter((path) => path.startsWith('deploy/helm/postrider/templates/'))
    .map(read)
    .join('\n');
  const used = new Set([...templates.matchAll(/\.Values\.([A-Za-z.]+)/g)].map(([, path]) => path as string));
  const declared = leavesOf(yaml('deploy/helm/postrider/values.yaml'), '');
  const isCovered = (path: string, by: Iterable<string>): boolean =>
    [...by].some((other) => other === path || path.startsWith(`${other}.`));
  assert.deepEqual(
    declared.filter((path) => !isCovered(path, used)),
    [],
    'values that no template uses',
  );
  assert.deepEqual(
    [...used].filter((path) => !isCovered(path, declared) && !declared.some((other) => other.startsWith(`${path}.`))),
    [],
    'values that a template uses and values.yaml lacks',
  );
  const lines = text.split('\n');
  const bare = lines.filter((line, position) => /^ *[A-Za-z]+: /.test(line) && lines[position - 1]?.trimStart().startsWith('#') !== true);
  assert.deepEqual(bare, [], 'values without a word of explanation above them');
});

interface Ports {
  readonly http: number | undefined;
  readonly submission: number | undefined;
  readonly submissions: number | undefined;
  readonly inbound: number | undefined;
}

function portsOf(file: string): Ports {
  const { http, smtp } = loadConfig({ file, env: {} });
  return {
    http: http.listen[0]?.port,
    submission: smtp.submission[0]?.port,
    submissions: smtp.submissions[0]?.port,
    inbound: smtp.inbound[0]?.port,
  };
}

function leavesOf(value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || Object.keys(value).length === 0) return [path];
  return Object.entries(value).flatMap(([name, inner]) => leavesOf(inner, path === '' ? name : `${path}.${name}`));
}
