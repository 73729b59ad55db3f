import fc from "fast-check";

// One seed for all property tests, so that a run fails only for what was changed; LUNET_TEST_SEED=random or a number explores others.
const wanted = process.env.LUNET_TEST_SEED ?? "20261124";
if (wanted !== "random") fc.configureGlobal({ seed: Number(wanted) });
