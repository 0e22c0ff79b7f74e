#include "recorder.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <sstream>

namespace standin {
namespace {

std::recursive_mutex guard;

std::map<const void*, Record*>& faces() {
    static std::map<const void*, Record*> all;
    return all;
}

bool starts(const std::string& word, const char* with) { return word.rfind(with, 0) == 0; }
bool ends(const std::string& word, const std::string& with) {
    return word.size() >= with.size() && word.compare(word.size() - with.size(), with.size(), with) == 0;
}

std::string quoted(const std::string& words) {
    std::string result = "\"";
    for (unsigned char letter : words) {
        char escaped[8];
        if (letter < 0x20 || letter == '"' || letter == '\\') {
            std::snprintf(escaped, sizeof escaped, "\\u%04x", letter);
            result += escaped;
        } else {
            result += static_cast<char>(letter);
        }
    }
    return result + '"';
}

template <class Items, class Spell>
std::string joined(const Items& items, const char* between, Spell spell) {
    std::string result;
    for (const auto& item : items) result += (result.empty() ? "" : between) + spell(item);
    return result;
}

// One line a call. Several processes may write, each line with one call of the system.
void write(const Record& record, const char* method, const std::vector<Value>& arguments, const Value& gave) {
    static std::FILE* file = [] {
        const char* name = std::getenv("STANDIN_LOG");
        return name == nullptr ? nullptr : std::fopen(name, "a");
    }();
    if (file == nullptr) return;
    const std::string given = joined(arguments, ", ", [](const Value& value) { return value.json(); });
    std::fprintf(file, "{\"pid\": %d, \"on\": %s, \"call\": %s, \"args\": [%s], \"gave\": %s, \"late\": %s}\n", getpid(),
                 quoted(record.label).c_str(), quoted(method).c_str(), given.c_str(), gave.json().c_str(),
                 record.ended ? "true" : "false");
    std::fflush(file);
}

using Answers = std::map<std::string, std::string>;

// A file of key, unit separator, value, record separator: neither occurs in what a library says.
const Answers& answers() {
    static const Answers all = [] {
        Answers found;
        const char* name = std::getenv("STANDIN_ANSWERS");
        std::ifstream file(name == nullptr ? "" : name);
        for (std::string entry; std::getline(file, entry, '\x1e');) {
            const auto middle = entry.find('\x1f');
            found[entry.substr(0, middle)] = entry.substr(middle + 1);
        }
        return found;
    }();
    return all;
}

// The most particular answer: of this object and these arguments, of this object, of its class.
const std::string* answer(const Record& record, const std::string& method, const std::string& arguments) {
    for (const std::string& who : {record.label, record.kind})
        for (const std::string& how : {method + "(" + arguments + ")", method}) {
            const auto found = answers().find(who + "." + how);
            if (found != answers().end()) return &found->second;
        }
    return nullptr;
}

Record* named(const std::string& kind, const std::string& name) {
    static std::map<std::string, Record*> all;
    Record*& record = all[kind + "@" + name];
    if (record == nullptr) record = create(kind, kind + "@" + name);
    return record;
}

Record* numbered(const std::string& kind) {
    static std::map<std::string, int> made;
    return create(kind, kind + "#" + std::to_string(++made[kind]));
}

std::string unhexed(const std::string& hex) {
    std::string result;
    for (std::size_t at = 0; at + 1 < hex.size(); at += 2)
        result += static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16));
    return result;
}

// An answer's words, as what the caller waits for.
Value understood(const std::string& words, Kind wanted, const char* type) {
    Value value;
    value.kind = words == "null" ? Kind::nothing : wanted;
    value.type = type;
    if (value.kind == Kind::truth) value.integer = words == "true";
    if (value.kind == Kind::integer || value.kind == Kind::address) value.integer = std::stoll(words);
    if (value.kind == Kind::real) value.real = std::stod(words);
    if (value.kind == Kind::text) value.text = words;
    if (value.kind == Kind::dims) {
        std::istringstream stream(words);
        for (std::string extent; std::getline(stream, extent, 'x');) value.dims.push_back(std::stoll(extent));
    }
    if (value.kind == Kind::object) {
        value.object = starts(words, "@") ? named(type, words.substr(1)) : numbered(type);
        if (starts(words, "hex:")) value.object->contents = unhexed(words.substr(4));
    }
    return value;
}

// `setX(a, b)` is what `getX(a)` and `getX()` give back.
void keep(Record& record, const std::string& name, const std::vector<Value>& arguments) {
    std::string key = name + "(";
    for (std::size_t at = 0; at < arguments.size(); ++at) {
        record.properties[key + ")"] = arguments[at];
        key += (at == 0 ? "" : ", ") + arguments[at].spelled();
    }
}

// setFlag, clearFlag, getFlag, setFlags, getFlags, and the same of QuantizationFlag: a mask of bits.
bool as_mask(Record& record, const std::string& method, const std::vector<Value>& arguments, Value& result) {
    const bool plural = ends(method, "Flags");
    if (!plural && !ends(method, "Flag")) return false;
    const bool sets = starts(method, "set"), clears = starts(method, "clear"), gets = starts(method, "get");
    if (!sets && !clears && !gets) return false;
    std::string name = method.substr(clears ? 5 : 3);
    if (plural) name.pop_back();
    std::int64_t& mask = record.counts[name];
    const std::int64_t given = arguments.empty() ? 0 : arguments[0].integer;
    if (plural && sets) mask = given;
    if (!plural && sets) mask |= std::int64_t{1} << given;
    if (!plural && clears) mask &= ~(std::int64_t{1} << given);
    result.integer = plural && gets ? mask : gets ? (mask >> given) & 1 : 1;
    return true;
}

// What a question without a prepared answer gets: no, nothing, zero; what an order gets: done, a new object.
Value by_default(Record& record, const std::string& method, const std::vector<Value>& arguments, Value result,
                 bool reference) {
    if (as_mask(record, method, arguments, result)) return result;
    const std::string given = joined(arguments, ", ", [](const Value& value) { return value.spelled(); });
    if (starts(method, "set")) keep(record, method.substr(3), arguments);
    if (starts(method, "get")) {
        const auto found = record.properties.find(method.substr(3) + "(" + given + ")");
        if (found != record.properties.end()) return found->second;
        if (reference) result.object = named(result.type, record.label + "." + method);
        if (result.kind == Kind::object && !reference) result.kind = Kind::nothing;
        return result;
    }
    if (result.kind == Kind::object) {
        result.object = numbered(result.type);
        result.object->contents = "stand-in " + method;
    }
    const bool asks = starts(method, "is") || starts(method, "has") || starts(method, "can") ||
                      starts(method, "platform") || ends(method, "IsSet");
    if (result.kind == Kind::truth) result.integer = !asks;
    if (result.kind == Kind::integer && starts(method, "add")) result.integer = record.counts[method]++;
    return result;
}

Value of_memory(Record& record, const std::string& method) {
    constexpr int int8 = 2;  // with another type the bindings would take the size for a count of wider items
    if (method == "data") return pointer(record.contents.data());
    return integer(method == "size" ? static_cast<std::int64_t>(record.contents.size()) : int8);
}

// Lines of an answer `<method>!log`, severity before each: what the library says while it works.
void speak(const Record& record, const std::string& method, const std::string& arguments) {
    const std::string* lines = answer(record, method + "!log", arguments);
    std::istringstream stream(lines == nullptr ? "" : *lines);
    for (std::string line; std::getline(stream, line);) log_to_caller(line[0] - '0', line.substr(2));
}

// Lines of an answer `<method>!layers`, milliseconds before each name, for the profiler that was set.
void profile(const Record& record, const std::string& method, const std::string& arguments) {
    const std::string* lines = answer(record, method + "!layers", arguments);
    const auto profiler = record.properties.find("Profiler()");
    if (lines == nullptr || profiler == record.properties.end()) return;
    std::istringstream stream(*lines);
    float ms = 0;
    for (std::string layer; stream >> ms && std::getline(stream >> std::ws, layer);)
        report_to_profiler(reinterpret_cast<void*>(profiler->second.integer), layer, ms);
}

}  // namespace

Face::~Face() { self->end(); }

Value truth(bool value) {
    Value result;
    result.kind = Kind::truth;
    result.integer = value;
    return result;
}

Value integer(std::int64_t value, const char* enumeration) {
    Value result;
    result.kind = Kind::integer;
    result.integer = value;
    result.type = enumeration;
    return result;
}

Value real(double value) {
    Value result;
    result.kind = Kind::real;
    result.real = value;
    return result;
}

Value text(const char* value) {
    Value result;
    if (value == nullptr) return result;
    result.kind = Kind::text;
    result.text = value;
    return result;
}

Value pointer(const void* value) {
    Value result;
    const auto found = faces().find(value);
    if (found != faces().end()) {
        result.kind = Kind::object;
        result.object = found->second;
    } else if (value != nullptr) {
        result.kind = Kind::address;
        result.integer = reinterpret_cast<std::intptr_t>(value);
    }
    return result;
}

Value bytes(const void* start, std::size_t size) {
    constexpr std::size_t shown = 64;
    Value result;
    result.kind = start == nullptr ? Kind::nothing : Kind::bytes;
    result.integer = static_cast<std::int64_t>(size);
    if (start != nullptr) result.text.assign(static_cast<const char*>(start), size < shown ? size : shown);
    return result;
}

Value dims(int count, const std::vector<std::int64_t>& extents) {
    Value result;
    result.kind = Kind::dims;
    result.dims.assign(extents.begin(), extents.begin() + (count < 0 ? 0 : count));
    return result;
}

std::string Value::spelled() const {
    switch (kind) {
        case Kind::nothing: return "null";
        case Kind::truth: return integer ? "true" : "false";
        case Kind::real: return std::to_string(real);
        case Kind::text: return text;
        case Kind::dims: return joined(dims, "x", [](std::int64_t extent) { return std::to_string(extent); });
        case Kind::object: return object->label;
        default: return std::to_string(integer);
    }
}

std::string Value::json() const {
    switch (kind) {
        case Kind::nothing: return "null";
        case Kind::truth:
        case Kind::real: return spelled();
        case Kind::integer:
            return type.empty() ? spelled() : "{\"enum\": " + quoted(type) + ", \"value\": " + spelled() + "}";
        case Kind::text: return quoted(text);
        case Kind::dims:
            return "[" + joined(dims, ", ", [](std::int64_t extent) { return std::to_string(extent); }) + "]";
        case Kind::address: return "{\"address\": " + spelled() + "}";
        case Kind::object: return "{\"object\": " + quoted(object->label) + "}";
        case Kind::bytes: {
            const std::string hex = joined(text, "", [](unsigned char byte) {
                char pair[3];
                std::snprintf(pair, sizeof pair, "%02x", byte);
                return std::string(pair);
            });
            return "{\"bytes\": " + quoted(hex) + ", \"size\": " + std::to_string(integer) + "}";
        }
    }
    return "null";
}

const char* Value::c_str() const {
    static std::set<std::string> kept;
    std::lock_guard<std::recursive_mutex> lock(guard);
    return kind == Kind::nothing ? nullptr : kept.insert(text).first->c_str();
}

Value Record::call(const char* method, const std::vector<Value>& arguments, Kind wanted, const char* type,
                   bool reference) {
    std::lock_guard<std::recursive_mutex> lock(guard);
    if (kind == "IHostMemory") return of_memory(*this, method);
    const std::string given = joined(arguments, ", ", [](const Value& value) { return value.spelled(); });
    const std::string* prepared = answer(*this, method, given);
    Value blank;
    blank.kind = wanted;
    blank.type = type;
    const Value result = prepared != nullptr ? understood(*prepared, wanted, type)
                                             : by_default(*this, method, arguments, blank, reference);
    if (prepared != nullptr && starts(method, "set")) keep(*this, method + 3, arguments);
    write(*this, method, arguments, result);
    speak(*this, method, given);
    profile(*this, method, given);
    return result;
}

void Record::unknown(const char* method) {
    write(*this, method, {}, Value{});
    std::fprintf(stderr, "the stand-in does not know %s::%s: add its signature to interfaces.json\n", kind.c_str(),
                 method);
    std::abort();
}

void Record::end() {
    write(*this, "~", {}, Value{});
    ended = true;
}

Record& library() {
    static Record record{"library", "library", nullptr, {}, {}, {}, false};
    return record;
}

Record* adopted(const std::string& kind, const std::string& label, void* face) {
    std::lock_guard<std::recursive_mutex> lock(guard);
    Record* record = new Record{kind, label, face, {}, {}, {}, false};
    faces()[face] = record;
    return record;
}

}  // namespace standin
