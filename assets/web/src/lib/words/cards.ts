// English of the area "cards"; whoever says these words imports this file, so that they arrive in the same chunk.
import words from '../../../../locales/en/cards.json';
import { learn } from '../i18n.svelte';

learn('cards', words);
