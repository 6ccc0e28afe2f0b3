/**
 * All rules in the order in which they are asked: what a provider means by its own words, enhanced codes that are unambiguous,
 * words that are common to many servers, then what is left of the enhanced code, then of the plain code. The last rule takes all.
 */
import { CODE_RULES } from './classify-rules-codes.ts';
import { PHRASE_RULES } from './classify-rules-phrases.ts';
import { PROVIDER_RULES } from './classify-rules-providers.ts';
import type { Rule } from './classify-rule.ts';

export const RULES: readonly Rule[] = [...PROVIDER_RULES, ...CODE_RULES.clear, ...PHRASE_RULES, ...CODE_RULES.rest];
