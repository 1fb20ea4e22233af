package node

import (
	"github.com/raygo/raygo/node/launch"
	"github.com/raygo/raygo/objects"
)

// keepProgram copies a program into the data directory by CID, behind the
// driver's back, so that an attempt can be run again after it ended.
func (n *Node) keepProgram(prog *launch.Program) {
	n.wg.Go(func() {
		if _, err := prog.Keep(n.dir.programs(), objects.SumFile); err != nil {
			n.log.Warn("keep the program for replay", "err", err)
		}
	})
}
