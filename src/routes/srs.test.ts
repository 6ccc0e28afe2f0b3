import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSrs } from './srs.ts';

const srs = createSrs(Buffer.alloc(32, 1));
const NOW_MS = 1_795_000_000_000;
const DAY_MS = 86_400_000;

function localOf(address: string | undefined): string {
  return (address ?? '').split('@')[0] ?? '';
}

test('an address is inside ours, and comes out again, also in capitals', () => {
  const rewritten = srs.forward('ann.lee+x@sender.example', 'ours.example', NOW_MS);
  assert.match(rewritten ?? '', /^SRS0=[a-z2-7]{8}=[a-z2-7]{2}=sender\.example=ann\.lee\+x@ours\.example$/);
  assert.deepEqual(srs.reverse(localOf(rewritten), 'ours.example', NOW_MS), { to: 'ann.lee+x@sender.example' });
  assert.deepEqual(srs.reverse(localOf(rewritten).toUpperCase(), 'ours.example', NOW_MS), { to: 'ANN.LEE+X@SENDER.EXAMPLE' });
});

test('an address with "=" in it comes out whole', () => {
  const rewritten = srs.forward('bounce=17=x@sender.example', 'ours.example', NOW_MS);
  assert.deepEqual(srs.reverse(localOf(rewritten), 'ours.example', NOW_MS), { to: 'bounce=17=x@sender.example' });
});

test('what was rewritten by another goes back to the one who rewrote it first', () => {
  const first = 'SRS0=HHHH=TT=sender.example=ann@first.example';
  const second = srs.forward(first, 'ours.example', NOW_MS);
  assert.match(second ?? '', /^SRS1=[a-z2-7]{8}=first\.example==HHHH=TT=sender\.example=ann@ours\.example$/);
  assert.equal(srs.reverse(localOf(second), 'other.example', NOW_MS), 'forged');
  assert.deepEqual(srs.reverse(localOf(second), 'ours.example', NOW_MS), { to: first });
  const third = srs.forward('SRS1=XXXX=first.example==HHHH=TT=sender.example=ann@second.example', 'ours.example', NOW_MS);
  assert.deepEqual(srs.reverse(localOf(third), 'ours.example', NOW_MS), { to: first });
});

test('what we did not make, or made long ago, is forged; another address is none of ours', () => {
  const local = localOf(srs.forward('ann@sender.example', 'ours.example', NOW_MS));
  assert.equal(srs.reverse(local.replace('ann', 'bob'), 'ours.example', NOW_MS), 'forged');
  assert.equal(srs.reverse(local.replace('sender.example', 'victim.example'), 'ours.example', NOW_MS), 'forged');
  assert.equal(srs.reverse(local, 'other.example', NOW_MS), 'forged');
  assert.equal(createSrs(Buffer.alloc(32, 2)).reverse(local, 'ours.example', NOW_MS), 'forged');
  assert.deepEqual(srs.reverse(local, 'ours.example', NOW_MS + 21 * DAY_MS), { to: 'ann@sender.example' });
  assert.equal(srs.reverse(local, 'ours.example', NOW_MS + 22 * DAY_MS), 'forged');
  for (const text of ['SRS0=', 'SRS0=a=b', 'SRS1=a=b==', 'srs0=====', 'SRS1=aaaaaaaa=first.example==x'])
    assert.equal(srs.reverse(text, 'ours.example', NOW_MS), 'forged', text);
  assert.equal(srs.reverse('ann', 'ours.example', NOW_MS), undefined);
});

test('the null sender stays, and one without room is left out', () => {
  assert.equal(srs.forward('', 'ours.example', NOW_MS), '');
  assert.equal(srs.forward(`${'a'.repeat(50)}@sender.example`, 'ours.example', NOW_MS), undefined);
  assert.equal(srs.forward('jörg@sender.example', 'ours.example', NOW_MS), undefined);
});
