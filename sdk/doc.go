// Package raygo owns what a program that uses raygo imports: remote functions,
// refs to results that do not exist yet, and the waiting for them.
//
// A program registers functions in package-level variables, hands its main
// function to Main, and calls:
//
//	var Square = raygo.Func1(square)
//
//	func square(ctx context.Context, x int) (int, error) { return x * x, nil }
//
//	func main() {
//		raygo.Main(func(ctx context.Context) error {
//			ref := Square.Remote(ctx, 7) // runs in a worker process
//			n, err := raygo.Get(ctx, ref)
//			…
//		})
//	}
//
// Started by hand the process is the driver: Main finds a peer (the Address
// option, $RAYGO_ADDRESS, the local peer, or a private one started for this
// process) and runs the function. Started by a peer the same binary is a worker:
// Main serves tasks and never returns.
//
// # Values
//
// Arguments and results travel as CBOR: numbers, strings, structs with exported
// fields, slices, maps, pointers, time.Time, and any, in which numbers arrive as
// int64 or float64. []byte and slices of fixed-size numbers travel as they lie
// in memory. A large one is a read-only view of shared memory on the other side:
// writing to it faults, and it is valid in a worker until the task that got it
// returns, in a driver until Release of its ref or the end of the session. Copy
// what must live longer or change.
//
// # Refs
//
// A Ref is a small comparable value. Its object lives while a copy of the ref is
// reachable, an unfinished task or another object needs it. Dropped refs are
// noticed by the garbage collector; Release says so at once.
//
// # Lints
//
// What costs most, so look here first: a Get inside the loop that submits runs
// everything serially; results handled in submission order wait for the slowest
// (use AsCompleted); the same large value passed by value to every call is
// copied for each (Put it once); a task that returns a ref it put itself keeps
// its value from being pushed; tasks much shorter than a millisecond cost more
// to send than to run; a goroutine that outlives its task outlives it in a
// worker that has moved on; package variables are not shared between tasks.
package raygo
