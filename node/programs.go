package node

import (
	"fmt"
	"io"

	"github.com/raygo/raygo/node/launch"
	"github.com/raygo/raygo/objects"
)

// keepProgram copies a program into the data directory by CID, behind the
// driver's back, so that an attempt can be run again after it ended.
func (n *Node) keepProgram(prog *launch.Program) {
	held := prog.Hold()
	n.wg.Go(func() {
		if _, _, err := held.Keep(n.ctx, n.dir.programs(), programID); err != nil && n.ctx.Err() == nil {
			n.log.Warn("keep the program for replay", "err", err)
		}
		_ = held.Close()
	})
}

// programID is a program's CID in text.
func programID(r io.ReaderAt, size int64) (string, error) {
	id, err := objects.CIDOf(r, size)
	if err != nil {
		return "", fmt.Errorf("hash a program: %w", err)
	}
	return id.String(), nil
}
