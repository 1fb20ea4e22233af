// Package simnet owns tests of whole clusters without machines: worlds of many
// cores (simnet/world) run here from seeds, by name for each behaviour, and at
// the size of a thousand peers for docs/placement.md.
package simnet
