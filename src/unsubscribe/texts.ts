/**
 * What the pages for unsubscribing say, in the reader's language. The texts are data (languages.ts); each language has each of them. {domain}, {address} and {list} are put in
 * by the page, isolated from the direction of the text around them.
 */
import { LANGUAGES } from './languages.ts';

export interface PageTexts {
  /** Written from right to left. */
  readonly isRightToLeft?: true;
  readonly unsubscribe: string;
  /** Whose mail it is about: {address}. */
  readonly for: string;
  readonly willStopAll: string;
  readonly willStopTags: string;
  readonly willLeaveList: string;
  readonly unsubscribeAll: string;
  readonly unsubscribed: string;
  readonly stoppedAll: string;
  readonly stoppedTags: string;
  readonly leftList: string;
  /** What was handed over before cannot be called back. */
  readonly onItsWay: string;
  readonly byMistake: string;
  readonly subscribeAgain: string;
  readonly subscribedAgain: string;
  readonly choose: string;
  readonly save: string;
  readonly saved: string;
  readonly notValid: string;
  readonly notValidHelp: string;
  readonly troubled: string;
}

export interface ChosenTexts extends PageTexts {
  /** BCP 47. */
  readonly language: string;
}

const DEFAULT = 'en';
/** Ranges of a field that are looked at. */
const RANGES_MAX = 20;

/** By Accept-Language (RFC 9110 §12.5.4): the best wanted that there is, or English. */
export function textsFor(acceptLanguage: string | undefined): ChosenTexts {
  const ranges = (acceptLanguage ?? '')
    .slice(0, 1000)
    .split(',', RANGES_MAX)
    .map((range) => {
      const [tag = '', weight = ''] = range
        .trim()
        .toLowerCase()
        .split(/\s*;\s*/);
      return { language: tag.split('-', 1)[0] ?? '', weight: weight.startsWith('q=') ? Number(weight.slice(2)) || 0 : 1 };
    })
    .filter(({ language, weight }) => weight > 0 && Object.hasOwn(LANGUAGES, language))
    .toSorted((a, b) => b.weight - a.weight);
  const language = ranges[0]?.language ?? DEFAULT;
  return { language, ...(LANGUAGES[language] as PageTexts) };
}
