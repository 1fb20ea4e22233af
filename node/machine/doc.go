// Package machine owns what a peer knows of the machine it runs on: processors,
// memory, GPUs and disks, as far as its control group lets it use them, and the
// doctor's list of what is there and what is missing.
package machine
