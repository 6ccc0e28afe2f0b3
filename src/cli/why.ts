/** postrider why: the whole story of a message, or of the newest messages to an address. */
import { timeline, timelineText } from '#events/timeline.ts';
import type { Waits } from '#app/queue-report.ts';
import type { MessageView, Store } from '#store/store.ts';
import { withStore } from './administration.ts';
import { askServer } from './ask-server.ts';
import { Failure, UsageError } from './command.ts';
import type { Command } from './command.ts';
import { json } from './table.ts';

const RECIPIENTS_MAX = 1000;
const EVENTS_LOOKED_AT = 500;
const MESSAGES_MAX = 100;

export const why: Command = {
  name: 'why',
  parameters: 'ID|ADDRESS',
  summary: 'Tells everything that happened to a message and what comes next',
  details:
    'ID is the number of a message, or its Message-ID with or without angle brackets. With an ADDRESS, the newest messages to it are told, newest first.',
  examples: ['postrider why 4711', 'postrider why "<20260115.1a2b@mail.example.org>"', 'postrider why alice@example.com --limit 1'],
  options: { limit: { type: 'string', value: 'N', help: 'messages shown for an address; default 3' } },
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, text, json: asJson, terminal }) {
    const limit = Number(text('limit') ?? '3');
    if (!Number.isInteger(limit) || limit < 1 || limit > MESSAGES_MAX)
      throw new UsageError(`--limit ${text('limit') ?? ''}: expected a number from 1 to ${MESSAGES_MAX}`);
    const [asked = ''] = positionals;
    const settings = config();
    const views = await withStore(settings, (store) => find(store, asked, limit));
    if (views.length === 0)
      throw new Failure(
        `nothing is known about ${asked}: no message has this id, and none went to this address (events are kept for retention.events)`,
      );
    const live = await waitsInMemory(settings.data, views);
    const stories = views.map((view) => timeline(view, live === undefined ? undefined : ({ id }) => live[id]));
    terminal.out(asJson ? json(stories) : stories.map((story) => timelineText(story, { color: terminal.hasColor })).join('\n'));
    return 0;
  },
};

/** What only a running server knows. undefined: none runs. */
async function waitsInMemory(dataDirectory: string, views: readonly MessageView[]): Promise<Waits | undefined> {
  const leased = views.filter(({ recipients }) => recipients.some(({ state }) => state === 'leased'));
  return leased.length === 0
    ? undefined
    : askServer<Waits>(dataDirectory, `/waits?messages=${leased.map(({ message }) => message.id).join(',')}`);
}

async function find(store: Store, asked: string, limit: number): Promise<MessageView[]> {
  const id = asked.trim().replace(/^<(.*)>$/, '$1');
  const view = /^\d{1,16}$/.test(id)
    ? await store.events.messageById(undefined, Number(id), RECIPIENTS_MAX)
    : await store.events.messageByMessageId(undefined, id, RECIPIENTS_MAX);
  if (view !== undefined) return [view];
  if (!id.includes('@')) return [];
  const seen = await store.events.recipientsByAddress(undefined, id, EVENTS_LOOKED_AT);
  const messages = [...new Set(seen.map((event) => event.event.message))].slice(0, limit);
  const views = await Promise.all(messages.map((message) => store.events.messageById(undefined, message, RECIPIENTS_MAX)));
  return views.filter((found) => found !== undefined).map((found) => onlyFor(found, id));
}

/** A batch has many recipients; the question was about one. */
function onlyFor(view: MessageView, address: string): MessageView {
  const wanted = address.toLowerCase();
  const recipients = view.recipients.filter((recipient) => recipient.address.toLowerCase() === wanted);
  if (recipients.length === 0) return view;
  const ids = new Set(recipients.map((recipient) => recipient.id));
  return { ...view, recipients, events: view.events.filter((event) => event.recipient === 0 || ids.has(event.recipient)) };
}
