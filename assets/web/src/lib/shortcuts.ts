// What each shortcut does, in words, and where it works; for the help overlay and the palette.

import type { Key } from './i18n.svelte';
import type { Combo } from './keys';
import './words/help';

export type Place = 'everywhere' | 'composer' | 'conversation' | 'editing';

export const places: Record<Place, Key> = {
  everywhere: 'help.everywhere',
  conversation: 'help.conversation',
  composer: 'help.composer',
  editing: 'help.editing',
};

export const shortcuts: Record<Combo, { where: Place; what: Key }> = {
  palette: { where: 'everywhere', what: 'help.palette' },
  help: { where: 'everywhere', what: 'help.help' },
  close: { where: 'everywhere', what: 'help.close' },
  previous: { where: 'conversation', what: 'help.previous' },
  next: { where: 'conversation', what: 'help.next' },
  stop: { where: 'conversation', what: 'help.stop' },
  send: { where: 'composer', what: 'help.send' },
  newLine: { where: 'composer', what: 'help.new_line' },
  editLast: { where: 'composer', what: 'help.edit_last' },
  editReply: { where: 'composer', what: 'help.edit_reply' },
  again: { where: 'composer', what: 'help.again' },
  goOn: { where: 'composer', what: 'help.go_on' },
  save: { where: 'editing', what: 'help.save' },
};
