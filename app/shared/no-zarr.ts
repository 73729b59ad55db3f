/** Stands in for a library with which the viewer would fetch remote stores. */
const refuse = (): never => {
  throw new Error("Remote stores are not read.");
};

export { refuse as FetchStore, refuse as get, refuse as open, refuse as root, refuse as slice };
