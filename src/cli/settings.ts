/** postrider settings and check-config: what can be set, and whether what is set is right. */
import { ConfigError, environmentWarnings, settingWarnings } from '#app/config.ts';
import { openTls, tlsFiles } from '#app/tls.ts';
import { ALL_SETTINGS, SETTINGS } from '#app/settings.ts';
import type { Group } from '#app/setting-kinds.ts';
import type { NamedSetting } from '#app/settings.ts';
import type { AnySetting } from '#app/setting-kinds.ts';
import { closest } from 'fastest-levenshtein';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { UsageError } from './command.ts';
import type { Command } from './command.ts';
import { json, table } from './table.ts';

/** Keys, and the tables they stand in. */
const NAMES = [...new Set(ALL_SETTINGS.flatMap(({ key }) => key.split('.').map((_, i, parts) => parts.slice(0, i + 1).join('.'))))];

export const settings: Command = {
  name: 'settings',
  parameters: '[KEY]',
  summary: 'Lists every setting with its default, or explains one',
  examples: ['postrider settings', 'postrider settings delivery.retry', 'postrider settings --markdown > docs/settings.md'],
  options: { markdown: { type: 'boolean', help: 'as the page of the manual' } },
  takes: [0, 1],
  printsData: true,
  run({ positionals, flag, json: asJson, terminal }) {
    const [key] = positionals;
    const shown = key === undefined ? ALL_SETTINGS : ALL_SETTINGS.filter((s) => s.key === key || s.key.startsWith(`${key}.`));
    if (shown.length === 0) throw new UsageError(`${key ?? ''} is not a setting; the nearest is ${closest(key ?? '', NAMES)}`);
    if (flag('markdown')) terminal.out(settingsPage());
    else if (asJson) terminal.out(json(shown.map(facts)));
    else if (shown.length === 1) terminal.out(explain(shown[0] as NamedSetting));
    else
      terminal.out(
        table(
          ['key', 'type', 'default'],
          shown.map((s) => [s.key, s.setting.type, presetText(s.setting)]),
        ),
      );
    return Promise.resolve(0);
  },
};

export const checkConfig: Command = {
  name: 'check-config',
  parameters: '',
  summary: 'Checks the configuration (file and environment) and tells every mistake at once',
  examples: ['postrider check-config --config /etc/postrider.toml'],
  options: { dev: { type: 'boolean', help: "with development mode's defaults" } },
  takes: [0, 0],
  printsData: true,
  run({ config, flag, json: asJson, terminal }) {
    const warnings: string[] = [];
    let problems: readonly string[] = [];
    try {
      const settings = config({ dev: flag('dev') });
      warnings.push(...settingWarnings(settings));
      if (settings.tls.cert !== undefined) openTls(tlsFiles(settings), systemClock, silentLog);
    } catch (error) {
      if (error instanceof ConfigError) problems = error.problems;
      else if (error instanceof Error && error.name === 'TlsError') problems = [`tls.cert, tls.key: ${error.message}`];
      else throw error;
    }
    // Handed to app/config, which alone reads it.
    warnings.push(...environmentWarnings(process.env));
    if (asJson) terminal.out(json({ isRight: problems.length === 0, problems, warnings }));
    else {
      for (const problem of problems) terminal.error(`${problem}\n`);
      for (const warning of warnings) terminal.error(`warning: ${warning}\n`);
      if (problems.length === 0) terminal.out('the configuration is right\n');
    }
    return Promise.resolve(problems.length === 0 ? 0 : 2);
  },
};

function facts({ key, environment, setting }: NamedSetting): object {
  return {
    key,
    type: setting.type,
    default: setting.preset ?? null,
    ...(setting.devPreset === undefined ? {} : { developmentDefault: setting.devPreset }),
    environment,
    sentence: setting.sentence,
  };
}

function explain({ key, environment, setting }: NamedSetting): string {
  const rows = Object.entries(setting.fields ?? {}).map(([name, field]) => [
    `  ${name}`,
    field.type,
    field.isRequired === true ? 'required' : presetText(field),
    field.sentence,
  ]);
  return [
    `${key}\n  ${setting.sentence}\n\n`,
    `  type         ${setting.type}\n`,
    `  default      ${presetText(setting)}\n`,
    setting.devPreset === undefined ? '' : `  development  ${valueText(setting.devPreset)}\n`,
    `  environment  ${environment}\n`,
    rows.length > 0 ? `\n${table(['  field', 'type', 'default', ''], rows)}` : '',
  ].join('');
}

function presetText(setting: AnySetting): string {
  return setting.preset === undefined ? 'none' : valueText(setting.preset);
}

/** As it is written in the file. */
function valueText(value: unknown): string {
  return Array.isArray(value) ? `[${value.map((item) => JSON.stringify(item)).join(', ')}]` : JSON.stringify(value);
}

/** docs/settings.md, made from the table of settings. */
export function settingsPage(): string {
  return [
    '# Settings',
    '',
    'Made by `bin/postrider settings --markdown` from the table in `src/app/settings.ts`; a test compares them.',
    '',
    'The configuration is a TOML file, named with `--config` or `POSTRIDER_CONFIG`. Every key has a default, so an empty file, or none, is a configuration.',
    'A key that does not exist is a mistake, and `bin/postrider check-config` tells all mistakes at once. Each key can be set by the environment',
    'too, which goes before the file: `POSTRIDER_HTTP_LISTEN` for `http.listen`. A list in the environment is separated by commas; a list of tables is JSON.',
    '`POSTRIDER_API_KEY` is no setting: it is the API key of the account that the first start makes.',
    '',
    'Durations are written `5s`, `10m`, `2h`, `5d`; sizes `512KB`, `25MB`; rates `100/s`, `3000/m`. `start --dev` (that is `npm start`) has some other defaults,',
    'which are named *development*.',
    '',
    '```toml',
    '[http]',
    'listen = ["0.0.0.0:8080"]',
    '',
    '[smtp]',
    'submission = ["0.0.0.0:587"]',
    'hostname = "mail.example.org"',
    '',
    '[[delivery.routes]]',
    'match = "*.example.net"',
    'host = "smarthost.example.net"',
    '```',
    '',
    ...sections(SETTINGS, ''),
  ].join('\n');
}

function sections(group: Group, prefix: string): string[] {
  const own = ALL_SETTINGS.filter(({ key }) => key.startsWith(prefix) && !key.slice(prefix.length).includes('.'));
  const lines = prefix === '' ? ['## At the top', ''] : [`## ${prefix.slice(0, -1)}`, '', group.sentence, ''];
  lines.push('| key | type | default | |', '|---|---|---|---|', ...own.map(row), '');
  for (const { key, setting } of own) if (setting.fields !== undefined) lines.push(...fieldTable(key, setting.fields));
  for (const [name, entry] of Object.entries(group.keys)) if ('isGroup' in entry) lines.push(...sections(entry, `${prefix}${name}.`));
  return lines;
}

function row({ key, setting }: NamedSetting): string {
  const preset = setting.preset === undefined ? '' : `\`${valueText(setting.preset)}\``;
  const dev = setting.devPreset === undefined ? '' : `; development: \`${valueText(setting.devPreset)}\``;
  return `| \`${key}\` | ${setting.type} | ${preset}${dev} | ${setting.sentence} |`;
}

function fieldTable(key: string, fields: Readonly<Record<string, AnySetting>>): string[] {
  return [
    `Each \`[[${key}]]\` has:`,
    '',
    '| field | type | default | |',
    '|---|---|---|---|',
    ...Object.entries(fields).map(
      ([name, f]) =>
        `| \`${name}\` | ${f.type} | ${f.isRequired === true ? 'required' : f.preset === undefined ? '' : `\`${valueText(f.preset)}\``} | ${f.sentence} |`,
    ),
    '',
  ];
}
