import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { personOf } from '../../machines/person.ts';
import type { SessionShare } from '../../machines/session-context.ts';
import { capabilityOf } from '../support/capabilities.ts';

const test = suite('person');

const issuedBy = (principal: string): SessionShare => ({
  capability: capabilityOf(),
  issuer: { principal, client_id: 'cli_1' },
});

test('the principal of a share counts as who issued it, over shares of shares', () => {
  const shares = { shr_1: issuedBy('ada'), shr_2: issuedBy('share:shr_1'), shr_3: issuedBy('share:shr_2') };
  for (const principal of ['ada', 'share:shr_1', 'share:shr_2', 'share:shr_3'])
    assert.is(personOf({ shares }, principal), 'ada', principal);
  assert.is(personOf({ shares }, 'bob'), 'bob', 'credentials of their own, whichever way they came');
});

test('what comes from a share that is gone, or from itself, is nobody', () => {
  assert.is(personOf({ shares: {} }, 'share:shr_1'), null);
  assert.is(personOf({ shares: { shr_2: issuedBy('share:shr_1') } }, 'share:shr_2'), null);
  assert.is(personOf({ shares: { shr_1: issuedBy('share:shr_1') } }, 'share:shr_1'), null);
});

test.run();
