/**
 * A browser for tests, without a window: the Chromium that `npm ci` brings (Linux on x86-64), with its own libraries, or else the system's. Unpacked once into node_modules/.cache; two
 * that do so at the same time do not see each other's half.
 */
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'postrider-chromium');
const SYSTEM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable'];
const START_MS = 60_000;

/** Why there is none, as the reason to skip. */
export interface NoBrowser {
  readonly missing: string;
}

export async function openBrowser(): Promise<Browser | NoBrowser> {
  const found = (await packed()) ?? (await installed());
  if (found === undefined) return { missing: 'no Chromium: npm has one for Linux on x86-64 only, and the system has none' };
  return chromium.launch({
    executablePath: found.path,
    env: { ...process.env, ...found.env } as Record<string, string>,
    // What is visited is this machine's own; containers often allow no sandbox.
    args: ['--no-sandbox'],
    timeout: START_MS,
  });
}

interface Found {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

async function packed(): Promise<Found | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  if (!(await exists(join(CACHE, 'chromium')))) await unpack();
  const lib = join(CACHE, 'al2023', 'lib');
  return { path: join(CACHE, 'chromium'), env: { LD_LIBRARY_PATH: lib, FONTCONFIG_FILE: await fontsNamed() } };
}

/** Its own list of fonts names places that are not ours: without fonts no text has a size. Resolves to the list's path. */
async function fontsNamed(): Promise<string> {
  const file = join(CACHE, 'fonts.conf');
  const own = `${file}-${process.pid}`;
  const list = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>${join(CACHE, 'fonts', 'fonts')}</dir><cachedir>${join(CACHE, 'fonts-cache')}</cachedir></fontconfig>
`;
  await writeFile(own, list);
  await rename(own, file);
  return file;
}

/** The package unpacks into TMPDIR, and brings its libraries only where it believes to be in the place that it was made for. */
async function unpack(): Promise<void> {
  const own = `${CACHE}-${process.pid}`;
  await mkdir(own, { recursive: true });
  const before = { ...process.env };
  Object.assign(process.env, { TMPDIR: own, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs22.x' });
  try {
    const { default: made } = await import('@sparticuz/chromium');
    await made.executablePath();
  } finally {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  }
  try {
    await rename(own, CACHE);
  } catch (error) {
    // Another was first.
    await rm(own, { recursive: true, force: true });
    if (!(await exists(join(CACHE, 'chromium')))) throw error;
  }
}

async function installed(): Promise<Found | undefined> {
  for (const path of SYSTEM) if (await exists(path)) return { path, env: {} };
  return undefined;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
