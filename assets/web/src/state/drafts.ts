// What was begun in a form and not saved: kept in this browser until it is saved, thrown away, or the person signs out (state/session
// removes what is kept under this name).

const NAME = 'troupe.draft.form.';

export function keepDraft(form: string, value: unknown): void {
  try {
    localStorage.setItem(NAME + form, JSON.stringify(value));
  } catch {
    // no room left in this browser: the form itself still holds it
  }
}

/** Of the shape that was kept; null when there is none. */
export function readDraft<Value>(form: string): Value | null {
  try {
    return JSON.parse(localStorage.getItem(NAME + form) ?? 'null') as Value | null;
  } catch {
    return null;
  }
}

export function dropDraft(form: string): void {
  localStorage.removeItem(NAME + form);
}
