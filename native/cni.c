#include "cni.h"

#include <string.h>

static const char *const VERSIONS[] = {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
enum { VERSION_COUNT = sizeof VERSIONS / sizeof *VERSIONS };

static size_t skip_blank(Slice text, size_t at) {
  while (at < text.size && (text.at[at] == ' ' || text.at[at] == '\t' || text.at[at] == '\n' || text.at[at] == '\r')) at++;
  return at;
}

/* Where the string that begins at a quote ends: behind its closing quote, or at the text's end. */
static size_t skip_string(Slice text, size_t at) {
  for (at++; at < text.size; at++) {
    if (text.at[at] == '\\') at++;
    else if (text.at[at] == '"') return at + 1;
  }
  return text.size;
}

bool find_text(Slice conf, const char *key, Slice *text) {
  size_t depth = 0, at = 0;
  while (at < conf.size) {
    uint8_t byte = conf.at[at];
    if (byte == '{' || byte == '[') depth++;
    if ((byte == '}' || byte == ']') && depth > 0) depth--;
    if (byte != '"') {
      at++;
      continue;
    }
    size_t begin = at + 1;
    at = skip_string(conf, at);
    if (depth != 1 || at <= begin || !slice_is((Slice){conf.at + begin, at - begin - 1}, key)) continue;
    size_t colon = skip_blank(conf, at);
    if (colon >= conf.size || conf.at[colon] != ':') continue;
    size_t value = skip_blank(conf, colon + 1);
    if (value >= conf.size || conf.at[value] != '"') continue;
    at = skip_string(conf, value);
    if (at - value < 2) continue;
    *text = (Slice){conf.at + value + 1, at - value - 2};
    return true;
  }
  return false;
}

const char *find_cni_version(Slice conf) {
  Slice version;
  if (!find_text(conf, "cniVersion", &version)) return NULL;
  for (size_t i = 0; i < VERSION_COUNT; i++)
    if (slice_is(version, VERSIONS[i])) return VERSIONS[i];
  return NULL;
}

/* Bytes of the UTF-8 character that begins here, 0 when it is none. */
static size_t utf8_length(const uint8_t *at, size_t left) {
  if (at[0] < 0x80) return 1;
  size_t length = at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3 : at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : 0;
  if (length == 0 || length > left) return 0;
  for (size_t i = 1; i < length; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  if (at[0] == 0xe0 && at[1] < 0xa0) return 0;
  if (at[0] == 0xed && at[1] > 0x9f) return 0;
  if (at[0] == 0xf0 && at[1] < 0x90) return 0;
  if (at[0] == 0xf4 && at[1] > 0x8f) return 0;
  return length;
}

static void add_json_string(Buffer *out, Slice text) {
  static const char digits[] = "0123456789abcdef";
  buffer_text(out, "\"");
  for (size_t i = 0; i < text.size;) {
    uint8_t byte = text.at[i];
    size_t length = utf8_length(text.at + i, text.size - i);
    if (length == 0) {
      buffer_text(out, "\\ufffd");
      i++;
    } else if (byte == '"' || byte == '\\') {
      buffer_add(out, (char[]){'\\', (char)byte}, 2);
      i++;
    } else if (byte == '\n' || byte == '\t') {
      buffer_text(out, byte == '\n' ? "\\n" : "\\t");
      i++;
    } else if (byte < 0x20 || byte == 0x7f) {
      buffer_add(out, (char[]){'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]}, 6);
      i++;
    } else {
      buffer_add(out, text.at + i, length);
      i += length;
    }
  }
  buffer_text(out, "\"");
}

/* Bytes of a message that go into `msg`; what is longer goes into `details` in full. */
enum { MESSAGE_LIMIT = 300 };

void render_error(Buffer *out, int code, const char *message, Slice conf) {
  const char *version = find_cni_version(conf);
  buffer_text(out, "{");
  if (version != NULL) {
    buffer_text(out, "\"cniVersion\":\"");
    buffer_text(out, version);
    buffer_text(out, "\",");
  }
  buffer_text(out, "\"code\":");
  buffer_number(out, (uint64_t)code);
  buffer_text(out, ",\"msg\":");
  Slice whole = slice_of(message), first = whole;
  if (whole.size > MESSAGE_LIMIT) {
    first.size = MESSAGE_LIMIT;
    while (first.size > 0 && (whole.at[first.size] & 0xc0) == 0x80) first.size--;
  }
  add_json_string(out, first);
  if (first.size < whole.size) {
    buffer_text(out, ",\"details\":");
    add_json_string(out, whole);
  }
  buffer_text(out, "}\n");
}

void render_versions(Buffer *out, Slice conf) {
  const char *version = find_cni_version(conf);
  buffer_text(out, "{\"cniVersion\":\"");
  buffer_text(out, version == NULL ? VERSIONS[VERSION_COUNT - 1] : version);
  buffer_text(out, "\",\"supportedVersions\":[");
  for (size_t i = 0; i < VERSION_COUNT; i++) {
    buffer_text(out, i == 0 ? "\"" : ",\"");
    buffer_text(out, VERSIONS[i]);
    buffer_text(out, "\"");
  }
  buffer_text(out, "]}\n");
}

static bool is_letter_or_digit(uint8_t byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
}

const char *container_id_fault(Slice id) {
  if (id.size == 0) return "is empty";
  if (id.size > 200) return "has more than 200 bytes";
  for (size_t i = 0; i < id.size; i++) {
    uint8_t byte = id.at[i];
    bool may_follow = byte == '_' || byte == '.' || byte == '-';
    if (!is_letter_or_digit(byte) && (i == 0 || !may_follow))
      return "must begin with a letter or digit and may go on with letters, digits, \"_\", \".\" and \"-\" only";
  }
  return NULL;
}

const char *if_name_fault(Slice name) {
  if (name.size == 0) return "is empty";
  if (name.size > 15) return "has more than 15 bytes";
  if (slice_is(name, ".") || slice_is(name, "..")) return "is a directory name";
  for (size_t i = 0; i < name.size; i++)
    if (name.at[i] <= ' ' || name.at[i] == '/' || name.at[i] == ':' || name.at[i] == 0x7f)
      return "contains \"/\", \":\", white space or a control character";
  return NULL;
}

bool is_plugin_type(Slice type) {
  if (type.size == 0 || type.size > 255 || slice_is(type, ".") || slice_is(type, "..")) return false;
  return memchr(type.at, '/', type.size) == NULL && !slice_has_nul(type);
}
