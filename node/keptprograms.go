package node

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxPrograms is how many programs are kept for replay and for other peers, this
// machine's and those that came from elsewhere. Of more the oldest go.
const maxPrograms = 64

// fetchLeft is how old a half fetched program is that nobody fetches any more.
const fetchLeft = time.Hour

// prunePrograms leaves the programs that were used last. One that goes while a job
// still runs it is held open by the peer, and fetched again by others.
func prunePrograms(dir string, now time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var kept []fs.FileInfo
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular(): // it went meanwhile, or is none
		case !strings.HasPrefix(e.Name(), "."):
			kept = append(kept, info)
		case now.Sub(info.ModTime()) > fetchLeft:
			_ = os.Remove(filepath.Join(dir, e.Name())) // tried again by the next peer
		}
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	for _, old := range kept[min(len(kept), maxPrograms):] {
		if err := os.Remove(filepath.Join(dir, old.Name())); err != nil {
			return err
		}
	}
	return nil
}

// usedProgram notes that a kept program is used now, and makes room.
func (n *Node) usedProgram(name string) {
	now := time.Now()
	path := filepath.Join(n.dir.programs(), name)
	if err := os.Chtimes(path, now, now); err != nil {
		n.log.Debug("note that a program is used", "program", name, "err", err)
	}
	if err := prunePrograms(n.dir.programs(), now); err != nil {
		n.log.Warn("remove old programs", "err", err)
	}
}
