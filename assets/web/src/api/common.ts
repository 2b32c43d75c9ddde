// Shapes that no table of the server names: what every list and every refusal has in common.

/** 13 letters. */
export type Id = string;

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

/** RFC 9457 application/problem+json */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  request_id?: string;
  errors?: { field: string; message: string }[];
}
