// Package launch owns worker processes: it starts them from a driver's own
// program, isolates them as far as the machine allows, watches them and ends
// them, so that no worker outlives its peer, kill -9 included.
//
// # The spawner
//
// Every worker is forked by one goroutine that is locked to its thread for as
// long as the launcher runs. That thread alone carries what the workers inherit:
// no new privileges, a Landlock domain, a mount namespace in which hidden
// directories are empty. Workers ask the kernel for SIGKILL at the death of that
// thread, which is why it must not end before they do.
//
// # Tiers
//
// In the tier pidns a worker is process 1 of a namespace of its own: whatever it
// started dies with it. As an ordinary user this takes a user namespace too. In
// the tier landlock it leads a process group and cannot signal processes outside
// of the workers; in process-group it only leads a group. Each tier includes
// what the ones after it do.
//
// In the tier pidns a worker's os.Getpid() is 1, signals that it sends to itself
// without having a handler are ignored (SIGKILL too: a worker ends itself with
// os.Exit), and orphans of its children become its own children.
//
// # What stays open
//
// As an ordinary user Config.Hide needs Config.Strict. Below pidns a grandchild
// that left the process group outlives its worker. A peer killed in the few
// microseconds between the fork and the child's request to die with it leaves
// the child, which then finds its connection closed.
package launch
