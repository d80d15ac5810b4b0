/*
 * Feeds the readers of foreign bytes with mutations of the files in corpus/, and shows what they read of
 * one: built with the address and undefined-behaviour sanitizers by test/native/fuzz.test.ts.
 *
 *   fuzz show FILE...         what is in each file, a line for each frame
 *   fuzz run SEED COUNT FILE...  so many mutations, always the same ones for a seed
 */
#include <stdio.h>
#include <sys/socket.h>

// Their static functions are what is tested.
#include "replay.c"
#include "routes.c"
#include "session.c"

#include "fallback.h"

enum { MAX_FILES = 256, MAX_BYTES = 1 << 20 };

static Buffer files[MAX_FILES];
static size_t file_count;
static uint64_t state;

static uint64_t next_random(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static size_t below(size_t limit) { return limit == 0 ? 0 : (size_t)(next_random() % limit); }

static bool is_journal(const Buffer *bytes) { return bytes->size >= 4 && memcmp(bytes->at, "PLXJ", 4) == 0; }

static void mutate_once(Buffer *bytes) {
  static const uint32_t numbers[] = {0, 1, 3, 4, 5, 8, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc, MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1};
  size_t at = below(bytes->size);
  switch (below(8)) {
    case 0:
      if (bytes->size > 0) bytes->at[at] ^= (uint8_t)(1u << below(8));
      break;
    case 1:
      if (bytes->size > 0) bytes->at[at] = (uint8_t)next_random();
      break;
    case 2: bytes->size = at; break;
    case 3:
      if (bytes->size - at >= 4) put_u32(bytes->at + at, numbers[below(sizeof numbers / sizeof *numbers)]);
      break;
    case 4:
      if (bytes->size - at >= 4) put_u32(bytes->at + at, (uint32_t)below(bytes->size * 2));
      break;
    case 5: {
      size_t size = below(bytes->size - at);
      if (bytes->size + size > MAX_BYTES) break;
      buffer_reserve(bytes, size);
      memmove(bytes->at + at + size, bytes->at + at, bytes->size - at);
      bytes->size += size;
      break;
    }
    case 6: {
      size_t size = below(bytes->size - at);
      memmove(bytes->at + at, bytes->at + at + size, bytes->size - at - size);
      bytes->size -= size;
      break;
    }
    default: {
      const Buffer *other = &files[below(file_count)];
      size_t from = below(other->size), size = below(other->size - from);
      bytes->size = at;
      if (bytes->size + size <= MAX_BYTES) buffer_add(bytes, other->at + from, size);
    }
  }
}

/* Gives the records checksums that hold, so that what is behind them is read. */
static void repair_checksums(Buffer *bytes) {
  for (size_t at = 8; at + 9 <= bytes->size;) {
    size_t length = get_u32(bytes->at + at);
    if (length < 1 || length > bytes->size - at - 8) return;
    Slice body = {bytes->at + at + 4, length};
    uint32_t crc = ~0u;
    for (size_t i = 0; i < body.size; i++) {
      crc ^= body.at[i];
      for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    put_u32(bytes->at + at + 4 + length, ~crc);
    at += length + 8;
  }
}

static uint64_t touched;

/* Reads every byte, so that a stretch that is out of bounds is seen. */
static void touch(Slice slice) {
  for (size_t i = 0; i < slice.size; i++) touched += slice.at[i];
}

static void touch_exec(const Exec *exec) {
  touch(exec->type), touch(exec->command), touch(exec->container_id), touch(exec->netns), touch(exec->if_name);
  touch(exec->args), touch(exec->stdin_bytes);
}

static void fuzz_journal(const Buffer *bytes) {
  File file = {.folder = -1, .journal = decode_journal(buffer_whole(bytes))};
  for (size_t i = 0; i < file.journal.count; i++) touch(file.journal.records[i].fields);
  read_records(&file);
  for (size_t i = 0; i < file.count; i++) touch_exec(&file.undos[i].exec);
  touch(file.netns), touch(file.netns_id), touch(file.files);
  // A folder that there is not, so that nothing is removed.
  Session session = {.container_id = "pod-1", .config.dev_info_dir = "/proc/none", .stdin_bytes = buffer_whole(bytes)};
  remove_files(&session, file.files);
  free_journal(&file.journal);
  free(file.undos);
}

static void fuzz_route_fields(Slice fields) {
  static const uint8_t links[] = {1, 0, 0, 0, 'l', 'o', 0, 2, 0, 0, 0, 'e', 't', 'h', '0', 0, 3, 0, 0, 0, 'n', 'e', 't', '1', 0};
  Slice link_list = {links, sizeof links};
  static Change change;
  for (int i = 0; i < 2 && fields.size > 0; i++) {
    memset(&change, 0, sizeof change);
    free(read_change(&fields, link_list, &change));
    Slice cidrs = change.keep_cidrs, cidr;
    while (next_item(&cidrs, &cidr)) {
      uint8_t address[16], bits;
      if (change.address_size > 0) parse_cidr(cidr, &change, address, &bits);
    }
    is_loser(&change, 2, link_list);
  }
}

static void fuzz_kernel_route(Slice body) {
  Routes routes = {0};
  Buffer copy = {0}, list = {0};
  Hop hop = {0};
  take_route(&routes, MESSAGE_NEW_ROUTE, body);
  take_index(&list, MESSAGE_NEW_LINK, body);
  Slice all = buffer_whole(&routes.bodies), route;
  while (next_route(&all, &route)) {
    char *exact = allocate(route.size);
    memcpy(exact, route.at, route.size);
    route.at = (uint8_t *)exact;
    for (size_t at = 0; next_hop(route, &at, &hop);) touched += hop.gateway[0];
    copy_route(&copy, route, NULL, (Slice){0});
    free(exact);
  }
  buffer_free(&routes.bodies);
  buffer_free(&copy);
  buffer_free(&list);
}

/* The whole reader of a session, with a daemon's bytes; nothing is started, because no plugin is there. */
static void fuzz_session(const Buffer *bytes) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) return;
  Session session = {.verb = VERB_ADD, .container_id = "pod-1", .if_name = "eth0", .netns = "/run/netns/none", .lock = NO_LOCK};
  session.config.state_dir = "/proc/none";
  session.search = make_search_path("", "", NULL);
  begin_session(&session);
  session.connection.fd = ends[0];
  session.runs_errands = below(4) == 0;
  session.verb = (Verb)below(VERB_AGENT + 1);
  for (size_t at = 0; at < bytes->size && !session.is_lost;) {
    size_t piece = below(bytes->size - at) + 1;
    buffer_drop(&session.connection.in, session.connection.taken);
    session.connection.taken = 0;
    buffer_add(&session.connection.in, bytes->at + at, piece);
    at += piece;
    if (!take_frames(&session)) break;
    start_calls(&session.runner);
    char sink[4096];
    while (read(ends[1], sink, sizeof sink) > 0) {}
  }
  cancel_calls(&session.runner, false);
  drop_waiting(&session.runner);
  close_connection(&session.connection);
  buffer_free(&session.answer);
  free(session.reason);
  free(session.breach);
  free(session.errand);
  free(session.search.directories);
  free(session.search.joined);
  close(ends[1]);
}

static void fuzz_text(Slice text) {
  Buffer out = {0};
  Config config;
  char *copy = slice_copy(text);
  render_error(&out, 5, copy, text);
  render_versions(&out, text);
  touched += wants_default_network_alone(text) + (container_id_fault(text) == NULL) + (if_name_fault(text) == NULL) + is_plugin_type(text);
  free(parse_config(text, &config).message);
  free(copy);
  buffer_free(&out);
}

static void fuzz_frames(const Buffer *bytes) {
  Slice all = buffer_whole(bytes);
  if (all.size > 5 && fields_fill((Slice){all.at + 5, all.size - 5})) {
    Exec exec;
    Slice fields = {all.at + 5, all.size - 5};
    if (decode_exec(fields, &exec)) touch_exec(&exec);
    fuzz_route_fields(fields);
  }
  fuzz_kernel_route(all);
  fuzz_session(bytes);
  fuzz_text(all);
}

static void fuzz_once(const Buffer *bytes) {
  // In memory of exactly its size, so that one byte too many is seen.
  Buffer exact = {.at = allocate(bytes->size), .size = bytes->size, .room = bytes->size};
  if (bytes->size > 0) memcpy(exact.at, bytes->at, bytes->size);
  if (is_journal(&exact)) fuzz_journal(&exact);
  else fuzz_frames(&exact);
  free(exact.at);
}

static void show_fields(uint8_t kind, Slice fields) {
  Slice field;
  printf(" %u", kind);
  while (next_field(&fields, &field)) printf(":%zu", field.size);
}

static void show(const Buffer *bytes) {
  static const char *const states[] = {"intact", "torn", "damaged", "newer"};
  if (is_journal(bytes)) {
    Journal journal = decode_journal(buffer_whole(bytes));
    printf("%s", states[journal.state]);
    for (size_t i = 0; i < journal.count; i++) show_fields(journal.records[i].kind, journal.records[i].fields);
    printf(" %zu\n", journal.state == JOURNAL_NEWER ? 0 : journal.length);
    free_journal(&journal);
    return;
  }
  Connection connection = {.fd = -1};
  buffer_slice(&connection.in, buffer_whole(bytes));
  uint8_t kind;
  Slice fields;
  FrameState frame;
  printf("frames");
  while ((frame = take_frame(&connection, &kind, &fields)) == FRAME_WHOLE) show_fields(kind, fields);
  printf(" %s\n", frame == FRAME_WRONG ? "wrong" : "end");
  close_connection(&connection);
}

int main(int count, char **arguments) {
  bool is_run = count > 3 && strcmp(arguments[1], "run") == 0;
  int first = is_run ? 4 : 2;
  for (int i = first; i < count && file_count < MAX_FILES; i++)
    if (!read_file(AT_FDCWD, arguments[i], &files[file_count++])) return 2;
  if (file_count == 0) return 2;
  if (!is_run) {
    for (size_t i = 0; i < file_count; i++) show(&files[i]);
    return 0;
  }
  state = strtoull(arguments[2], NULL, 10) * 2654435761u + 88172645463325252u;
  unsigned long rounds = strtoul(arguments[3], NULL, 10);
  for (size_t i = 0; i < file_count; i++) fuzz_once(&files[i]);
  for (unsigned long round = 0; round < rounds; round++) {
    Buffer bytes = {0};
    buffer_slice(&bytes, buffer_whole(&files[below(file_count)]));
    for (size_t steps = below(6) + 1; steps > 0; steps--) mutate_once(&bytes);
    if (is_journal(&bytes) && below(2) == 0) repair_checksums(&bytes);
    fuzz_once(&bytes);
    buffer_free(&bytes);
  }
  printf("%lu mutations of %zu files, %llx\n", rounds, file_count, (unsigned long long)touched);
  return 0;
}
