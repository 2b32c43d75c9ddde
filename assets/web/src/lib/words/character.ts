// English of the area "character"; whoever says these words imports this file, so that they arrive in the same chunk.
import words from '../../../../locales/en/character.json';
import { learn } from '../i18n.svelte';

learn('character', words);
