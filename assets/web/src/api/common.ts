// Shapes that no table of the server names: what every list has in common.

/** 13 letters. */
export type Id = string;

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}
