/**
 * /v3/ip_warmups: plans by which addresses are warmed up. An address belongs to the whole installation, and so does its plan: every account may look, those who operate the
 * installation begin one and give it up.
 */
import { isoDate } from '#api/conventions/dates.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import type { Json } from '#api/conventions/domain-json.ts';
import { addressOf } from '#api/conventions/egress.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { fieldsOf, wholeNumber } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { warmUpDetails, warmUpList, warmUpListQuery } from '#api/shapes/ips.ts';
import { beginWarmUp, ceilingName, STAGE_MS, stageLimit } from '#grants/warm-up.ts';
import { badParameter } from '#model/errors.ts';
import type { WarmUp } from '#store/egress-store.ts';

const PAGE_DEFAULT = 10;
const PAGE_MAX = 100;

export function ipWarmups(door: Door): Endpoint[] {
  const url = '/v3/ip_warmups';
  const one = `${url}/:ip`;
  return [
    {
      method: 'GET',
      url,
      summary: 'Addresses that are being warmed up',
      right: 'read',
      query: warmUpListQuery,
      answer: warmUpList,
      handle: (call) => list(door, call),
    },
    {
      method: 'GET',
      url: one,
      summary: 'How far the warm-up of an address is',
      right: 'read',
      answer: warmUpDetails,
      handle: (call) => show(door, call),
    },
    {
      method: 'POST',
      url: one,
      summary: 'Warm an address up: from now on it sends so many a day, and more with each stage',
      right: 'operate',
      answer: messageAnswer,
      handle: (call) => begin(door, call),
    },
    {
      method: 'DELETE',
      url: one,
      summary: 'Give the warm-up of an address up: it sends without its limit',
      right: 'operate',
      answer: messageAnswer,
      handle: (call) => end(door, call),
    },
  ];
}

function known(door: Door, call: Call): string {
  const address = addressOf(door, call.param('ip'))?.address;
  if (address === undefined) throw new NotFound('IP address not found');
  return address;
}

async function list(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const limit = Math.min(wholeNumber(fields, 'limit', 1, 999_999) ?? PAGE_DEFAULT, PAGE_MAX);
  const [side, pivot = ''] = (fields.get('page') ?? 'first').split(/:(.*)/s);
  const all = await door.deps.store.egress.listWarmUps();
  const page = pageOf(all, side ?? 'first', pivot, limit);
  const items = await Promise.all(
    page.map(async (warmUp) => {
      const { sent_within_stage, throttle, stage_number, stage_start_volume, stage_volume_limit } = await facts(door, warmUp);
      const times = { stage_start_time: isoDate(warmUp.stageStartedMs) };
      return { ip: warmUp.address, sent_within_stage, throttle, stage_number, stage_start_volume, ...times, stage_volume_limit };
    }),
  );
  const base = `${call.publicUrl}/v3/ip_warmups?limit=${limit}`;
  const at = (name: string, address: string | undefined): string => `${base}&page=${encodeURIComponent(`${name}:${address ?? pivot}`)}`;
  const paging = {
    first: base,
    last: `${base}&page=last`,
    next: at('next', page.at(-1)?.address),
    previous: at('previous', page[0]?.address),
  };
  return json({ items, paging });
}

/** Pages are walked from an address, so that what begins or ends meanwhile neither repeats nor hides another. */
function pageOf(all: readonly WarmUp[], side: string, pivot: string, limit: number): readonly WarmUp[] {
  if (side === 'next') return all.filter(({ address }) => address > pivot).slice(0, limit);
  if (side === 'previous') return all.filter(({ address }) => address < pivot).slice(-limit);
  return side === 'last' ? all.slice(-limit) : all.slice(0, limit);
}

async function facts(
  door: Door,
  warmUp: WarmUp,
): Promise<{
  readonly sent_within_stage: string;
  readonly throttle: number;
  readonly stage_number: number;
  readonly stage_start_volume: number;
  readonly stage_volume_limit: number;
}> {
  const limit = stageLimit(warmUp);
  const sent = await door.deps.store.egress.givenSince(ceilingName(warmUp.address), door.deps.clock.nowMs() - STAGE_MS);
  const part = Math.min(100, Math.floor((sent / limit) * 100));
  return {
    sent_within_stage: `${part}%`,
    // What the address may not take of the mail that is there: nothing, or all.
    throttle: part === 100 ? 100 : 0,
    stage_number: warmUp.stage,
    stage_start_volume: warmUp.history.at(-1)?.limit ?? 0,
    stage_volume_limit: limit,
  };
}

async function show(door: Door, call: Call): Promise<Answer> {
  const address = known(door, call);
  const warmUp = (await door.deps.store.egress.listWarmUps()).find((each) => each.address === address);
  if (warmUp === undefined) throw new NotFound('IP address is not being warmed up');
  return json({ details: { ...(await facts(door, warmUp)), ...shown(warmUp) } });
}

function shown(warmUp: WarmUp): Json {
  return {
    ip: warmUp.address,
    stage_start_time: isoDate(warmUp.stageStartedMs),
    stage_started_at: isoDate(warmUp.stageStartedMs),
    hour_started_at: isoDate(warmUp.stageStartedMs),
    plan_started_at: isoDate(warmUp.startedMs),
    plan_last_updated_at: isoDate(warmUp.updatedMs),
    total_stages: warmUp.plan.length,
    stage_history: warmUp.history.map(({ startedMs, completedMs, limit }) => ({
      first_updated_at: isoDate(startedMs),
      completed_at: isoDate(completedMs),
      limit,
    })),
  };
}

async function begin(door: Door, call: Call): Promise<Answer> {
  const { egress } = door.deps.store;
  if (!(await egress.startWarmUp(beginWarmUp(known(door, call), door.deps.clock.nowMs()))))
    throw badParameter('IP address is being warmed up already');
  return json({ message: 'IP warmup plan created' });
}

async function end(door: Door, call: Call): Promise<Answer> {
  if (!(await door.deps.store.egress.endWarmUp(known(door, call)))) throw new NotFound('IP address is not being warmed up');
  return json({ message: 'IP warmup plan cancelled' });
}
