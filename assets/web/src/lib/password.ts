// Advice while a new password is typed.

import { t, tn } from './i18n.svelte';
import './words/setup';

export type PasswordAdvice = { level: 0 | 1 | 2 | 3; advice: string };

/** Advice while a password is typed. Length carries it; the server alone decides what is refused. */
export function passwordAdvice(password: string): PasswordAdvice {
  const length = [...password].length;
  const distinct = new Set(password).size;
  if (length === 0) {
    return { level: 0, advice: t('setup.password_empty') };
  }
  if (length < 8) {
    return { level: 0, advice: tn('setup.password_short', 8 - length) };
  }
  if (distinct < 5) {
    return { level: 1, advice: t('setup.password_same') };
  }
  if (length < 15) {
    return { level: 2, advice: t('setup.password_fair') };
  }
  return { level: 3, advice: t('setup.password_strong') };
}
