/** Time-outs of an SMTP client in tests: where nothing hangs, no loaded machine may take a server for one that does; only the step that hangs is waited for a moment. */
import type { ClientTimeouts } from '#smtp/client-session.ts';

export const PATIENT: ClientTimeouts = { connectMs: 60_000, greetingMs: 60_000, commandMs: 60_000, dataMs: 60_000, dotMs: 60_000 };
/** Nothing more comes of a server that hangs. */
const HUNG_MS = 300;

/** Of a step that hangs, and of no other: what comes before it takes as long as it takes. */
export function hangsAt(step: keyof ClientTimeouts): ClientTimeouts {
  return { ...PATIENT, [step]: HUNG_MS };
}

/** Of commands while the server that has them is one that hangs. */
export function commandsHang(isHanging: () => boolean): ClientTimeouts {
  return {
    ...PATIENT,
    get commandMs() {
      return isHanging() ? HUNG_MS : PATIENT.commandMs;
    },
  };
}
