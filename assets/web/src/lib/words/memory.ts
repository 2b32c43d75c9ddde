// English of the area "memory"; whoever says these words imports this file, so that they arrive in the same chunk.
import words from '../../../../locales/en/memory.json';
import { learn } from '../i18n.svelte';

learn('memory', words);
