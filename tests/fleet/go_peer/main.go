// A log and a witness on Go's own packages for transparency logs (golang.org/x/mod/sumdb): notes,
// trees and proofs are theirs, so both sides of framegate's protocol meet another implementation.
//
//	peer log URL VKEY   a log: prints its key, waits for a line, has growing trees cosigned, forks
//	peer witness VKEY   a witness of one log: prints its key and its port
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const cosignatureType = 4

func main() {
	if len(os.Args) == 4 && os.Args[1] == "log" {
		runLog(os.Args[2], os.Args[3])
	} else if len(os.Args) == 3 && os.Args[1] == "witness" {
		runWitness(os.Args[2])
	} else {
		log.Fatal("expected: log URL VKEY, or witness VKEY")
	}
}

// cosigner verifies cosignatures of one witness, and makes them if it has the secret key.
type cosigner struct {
	name   string
	hash   uint32
	public ed25519.PublicKey
	secret ed25519.PrivateKey
}

func newCosigner(name string, public ed25519.PublicKey) *cosigner {
	key := append([]byte{cosignatureType}, public...)
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	return &cosigner{name: name, hash: binary.BigEndian.Uint32(sum[:4]), public: public}
}

func parseCosigner(vkey string) (*cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("expected NAME+ID+KEY")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != cosignatureType {
		return nil, errors.New("expected a key of type 4")
	}
	found := newCosigner(parts[0], key[1:])
	if fmt.Sprintf("%08x", found.hash) != parts[1] {
		return nil, errors.New("the id is not that of the key")
	}
	return found, nil
}

func (c *cosigner) vkey() string {
	key := append([]byte{cosignatureType}, c.public...)
	return fmt.Sprintf("%s+%08x+%s", c.name, c.hash, base64.StdEncoding.EncodeToString(key))
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func cosigned(timestamp uint64, text []byte) []byte {
	return append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", timestamp)), text...)
}

func (c *cosigner) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	return ed25519.Verify(c.public, cosigned(binary.BigEndian.Uint64(signature), text), signature[8:])
}

func (c *cosigner) Sign(text []byte) ([]byte, error) {
	out := make([]byte, 8)
	binary.BigEndian.PutUint64(out, uint64(time.Now().Unix()))
	return append(out, ed25519.Sign(c.secret, cosigned(binary.BigEndian.Uint64(out), text))...), nil
}

// tree keeps the stored hashes of a log, as tlog numbers them.
type tree struct {
	hashes []tlog.Hash
	size   int64
}

func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = t.hashes[index]
	}
	return out, nil
}

func (t *tree) grow(size int64, salt string) {
	for ; t.size < size; t.size++ {
		more, err := tlog.StoredHashes(t.size, []byte(fmt.Sprintf("entry %d%s", t.size, salt)), t)
		check(err)
		t.hashes = append(t.hashes, more...)
	}
}

func (t *tree) request(old int64, signer note.Signer) ([]byte, []byte) {
	root, err := tlog.TreeHash(t.size, t)
	check(err)
	text := fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), t.size, root)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	check(err)
	var proof tlog.TreeProof
	if 0 < old && old < t.size {
		proof, err = tlog.ProveTree(t.size, old, t)
		check(err)
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	for _, hash := range proof {
		fmt.Fprintf(&body, "%s\n", hash)
	}
	body.WriteByte('\n')
	body.Write(signed)
	return body.Bytes(), signed
}

func runLog(url, vkey string) {
	witness, err := parseCosigner(vkey)
	check(err)
	secret, public, err := note.GenerateKey(rand.Reader, "go.example/log")
	check(err)
	signer, err := note.NewSigner(secret)
	check(err)
	fmt.Println(public)
	address, err := bufio.NewReader(os.Stdin).ReadString('\n') // the witness knows the key now
	check(err)
	url = strings.Replace(url, "PORT", strings.TrimSpace(address), 1)
	var own, other tree
	var old int64
	for _, size := range []int64{1, 2, 7, 8, 40, 300} {
		own.grow(size, "")
		body, signed := own.request(old, signer)
		status, answer := post(url, body)
		if status != http.StatusOK {
			log.Fatalf("size %d: status %d: %s", size, status, answer)
		}
		opened, err := note.Open(append(signed, answer...), note.VerifierList(witness))
		check(err)
		if len(opened.Sigs) != 1 {
			log.Fatalf("size %d: %d cosignatures", size, len(opened.Sigs))
		}
		fmt.Println("cosigned", size)
		old = size
	}
	other.grow(7, "")
	other.grow(310, " of another history")
	body, _ := other.request(old, signer)
	status, answer := post(url, body)
	fmt.Println("fork", status, bytes.Contains(answer, []byte("— ")))
}

func post(url string, body []byte) (int, []byte) {
	response, err := http.Post(url+"/add-checkpoint", "text/plain", bytes.NewReader(body))
	check(err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	check(err)
	return response.StatusCode, answer
}

// witnessed is what the witness remembers of its one log.
type witnessed struct {
	sync.Mutex
	log  note.Verifier
	own  *cosigner
	size int64
	root tlog.Hash
}

func runWitness(vkey string) {
	verifier, err := note.NewVerifier(vkey)
	check(err)
	public, secret, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	own := newCosigner("go.example/witness", public)
	own.secret = secret
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(own.vkey(), listener.Addr().(*net.TCPAddr).Port)
	check(http.Serve(listener, &witnessed{log: verifier, own: own}))
}

func (w *witnessed) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(io.LimitReader(in.Body, 1<<16))
	if err != nil || in.URL.Path != "/add-checkpoint" {
		http.Error(out, "expected POST /add-checkpoint", http.StatusNotFound)
		return
	}
	w.Lock()
	defer w.Unlock()
	status, answer := w.answer(string(body))
	out.WriteHeader(status)
	fmt.Fprint(out, answer)
}

func (w *witnessed) answer(body string) (int, string) {
	head, signed, _ := strings.Cut(body, "\n\n")
	lines := strings.Split(head, "\n")
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if err != nil {
		return http.StatusBadRequest, "no old size\n"
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(w.log))
	if err != nil {
		return http.StatusForbidden, err.Error()
	}
	parts := strings.Split(opened.Text, "\n")
	size, sizeErr := strconv.ParseInt(parts[1], 10, 64)
	root, rootErr := tlog.ParseHash(parts[2])
	if sizeErr != nil || rootErr != nil || parts[0] != w.log.Name() || size < old {
		return http.StatusBadRequest, "no checkpoint\n"
	}
	if old != w.size || (old == size && old > 0 && root != w.root) {
		return http.StatusConflict, fmt.Sprintf("%d\n", w.size)
	}
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return http.StatusBadRequest, "no hash\n"
		}
		proof = append(proof, hash)
	}
	if old > 0 {
		if err := tlog.CheckTree(proof, size, root, old, w.root); err != nil {
			return http.StatusUnprocessableEntity, err.Error()
		}
	}
	w.size, w.root = size, root
	both, err := note.Sign(&note.Note{Text: opened.Text}, w.own)
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	_, answer, _ := strings.Cut(string(both), "\n\n")
	return http.StatusOK, answer
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
