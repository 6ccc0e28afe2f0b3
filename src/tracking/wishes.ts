/**
 * What of a message is to be counted: what the message itself says, or else its domain's settings. Of the message's options the narrower one wins: `o:tracking-clicks`
 * over `o:tracking`. Decided when a message is accepted: a change of the settings, or of where links lead, does not change what is queued.
 */
import type { MessageTracking } from '#model/message.ts';
import type { SubmissionOptions } from '#model/submission.ts';
import type { DomainSettings } from '#store/domain-store.ts';

/** `base`: what links and pixels would begin with; undefined: there is nowhere that they could lead. undefined: nothing is counted. */
export function trackingOf(options: SubmissionOptions, settings: DomainSettings, base: string | undefined): MessageTracking | undefined {
  const isOpens = said(options.trackingOpens ?? options.tracking) ?? settings.trackOpens === true;
  const clicks = clicksOf(options.trackingClicks ?? options.tracking, settings.trackClicks);
  if (base === undefined || (!isOpens && clicks === undefined)) return undefined;
  const isTop = said(options.trackingPixelTop) ?? settings.openAtTop === true;
  return {
    base,
    ...(isOpens && { opens: isTop ? 'top' : 'bottom' }),
    ...(clicks !== undefined && { clicks, ...(settings.utm && { utm: settings.utm }) }),
  };
}

/** Whether anything is to be counted, wherever links lead. */
export function wantsTracking(options: SubmissionOptions, settings: DomainSettings): boolean {
  return trackingOf(options, settings, '') !== undefined;
}

/** A pixel stands in HTML only. */
function said(toggle: SubmissionOptions['tracking']): boolean | undefined {
  return toggle === undefined ? undefined : toggle !== 'no';
}

function clicksOf(toggle: SubmissionOptions['tracking'], setting: DomainSettings['trackClicks']): MessageTracking['clicks'] {
  if (toggle === 'no' || (toggle === undefined && setting !== true && setting !== 'htmlonly')) return undefined;
  return toggle === 'htmlonly' || (toggle === undefined && setting === 'htmlonly') ? 'html' : 'all';
}
