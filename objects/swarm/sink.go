package swarm

import (
	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
)

// StoreSink writes into the range of an object that nobody sees before Commit.
func StoreSink(s *objects.Store, id raygo.ObjectID) Sink { return &storeSink{store: s, id: id} }

// FileSink writes a file into dir that is named by its CID at Commit.
func FileSink(dir string, c cid.Cid) Sink { return &fileSink{dir: dir, cid: c} }
