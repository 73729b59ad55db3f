/** A part of the page that is kept while what it shows changes. */
export interface View {
  element: HTMLElement;
  /** Shows what has been read anew. */
  update(): Promise<void> | void;
  /** Whether it knew the key. */
  key?(event: KeyboardEvent): boolean;
  close?(): void;
}
