// What every generated interface shares: a record of each call, prepared answers, and a property store.
#pragma once
#include <cstdint>
#include <map>
#include <new>
#include <string>
#include <vector>

namespace standin {

struct Record;

// Its memory is kept when it is deleted: a call after its end is recorded, and no crash.
struct Kept {
    static void* operator new(std::size_t size) { return ::operator new(size); }
    static void operator delete(void*) {}
};

// What the bindings hold of most interfaces: their inline methods call the object behind it.
struct Face : Kept {
    virtual ~Face();
    void* behind = nullptr;
    Record* self = nullptr;
};

enum class Kind { nothing, truth, integer, real, text, dims, address, object, bytes };

// One argument or result. `type` names the enumeration of an integer and the class of an object.
struct Value {
    Kind kind = Kind::nothing;
    std::string type;
    std::int64_t integer = 0;
    double real = 0;
    std::string text;
    std::vector<std::int64_t> dims;
    Record* object = nullptr;

    std::string spelled() const;  // as a key of prepared answers and properties
    std::string json() const;
    const char* c_str() const;  // lasts as long as the process
};

Value truth(bool value);
Value integer(std::int64_t value, const char* enumeration = "");
Value real(double value);
Value text(const char* value);
Value pointer(const void* value);  // an object where it is one of ours
Value bytes(const void* start, std::size_t size);
Value dims(int count, const std::vector<std::int64_t>& extents);

// An object of the vendor's library: who it is, what was set on it, and the pointer that the bindings hold.
struct Record {
    std::string kind;   // IBuilderConfig
    std::string label;  // IBuilderConfig#1, or ITensor@input where an answer names it
    void* face = nullptr;
    std::map<std::string, Value> properties;
    std::map<std::string, std::int64_t> counts;
    std::string contents;  // of an IHostMemory
    bool ended = false;

    Value call(const char* method, const std::vector<Value>& arguments, Kind wanted, const char* type = "",
               bool reference = false);
    [[noreturn]] void unknown(const char* method);  // a slot whose signature no test has needed yet
    void end();
};

Record& library();  // what is called without an object
Record* adopted(const std::string& kind, const std::string& label, void* face);

// Generated, for one major release of the vendor's library:
Record* create(const std::string& kind, const std::string& label);
void log_to_caller(int severity, const std::string& message);
void report_to_profiler(void* profiler, const std::string& layer, float ms);

}  // namespace standin
