// The symbols that the genuine Python bindings ask of the vendor's library, for one of its major releases.
#include "recorder.hpp"

namespace standin {
namespace {

struct Dims {
    std::int32_t count;
#if MAJOR == 8
    std::int32_t extents[8];
#else
    std::int64_t extents[8];
#endif
};

Value of(const Dims& given) { return dims(given.count, {given.extents, given.extents + 8}); }

Dims as_dims(const Value& value) {
    Dims result{static_cast<std::int32_t>(value.dims.size()), {}};
    for (std::size_t at = 0; at < value.dims.size(); ++at) result.extents[at] = value.dims[at];
    return result;
}

void* face(const Value& value) { return value.object == nullptr ? nullptr : value.object->face; }

template <class Outer, class Impl>
Record* wired(Outer* face, Impl* behind, const std::string& kind, const std::string& label) {
    face->behind = behind;
    return face->self = behind->self = adopted(kind, label, face);
}

template <class Plain>
Record* wired(Plain* object, const std::string& kind, const std::string& label) {
    return object->self = adopted(kind, label, object);
}

#include "interfaces.hpp"  // generated

ILogger* caller = nullptr;

void* started(const char* function, const char* kind, void* logger, int version) {
    caller = static_cast<ILogger*>(logger);
    return face(library().call(function, {integer(version)}, Kind::object, kind));
}

}  // namespace

Record* create(const std::string& kind, const std::string& label) { return create_one(kind, label); }

void log_to_caller(int severity, const std::string& message) {
    if (caller != nullptr) caller->log(severity, message.c_str());
}

void report_to_profiler(void* profiler, const std::string& layer, float ms) {
    static_cast<IProfiler*>(profiler)->reportLayerTime(layer.c_str(), ms);
}

extern "C" {

void* createInferBuilder_INTERNAL(void* logger, std::int32_t version) {
    return started("createInferBuilder", "IBuilder", logger, version);
}

void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) {
    return started("createInferRuntime", "IRuntime", logger, version);
}

void* createNvOnnxParser_INTERNAL(void*, void* logger, int version) {
    return started("createNvOnnxParser", "IParser", logger, version);
}

void* createInferRefitter_INTERNAL(void*, void*, std::int32_t) { return nullptr; }

void* createNvOnnxParserRefitter_INTERNAL(void*, void*, int) { return nullptr; }

int getNvOnnxParserVersion() { return 0; }

void* getPluginRegistry() {
    return face(library().call("getPluginRegistry", {}, Kind::object, "IPluginRegistry", true));
}

void* getBuilderPluginRegistry(std::int32_t) { return getPluginRegistry(); }

bool initLibNvInferPlugins(void*, const char* space) {
    return library().call("initLibNvInferPlugins", {text(space)}, Kind::truth).integer != 0;
}

#if MAJOR == 8  // the bindings want these to be there; nothing here calls them
void* uff() __asm__("_ZN11nvuffparser15createUffParserEv");
void* uff() { return nullptr; }
void field_map(void*) __asm__("_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi");
void field_map(void*) {}
void* caffe() __asm__("_ZN14nvcaffeparser117createCaffeParserEv");
void* caffe() { return nullptr; }
void shutdown_caffe() __asm__("_ZN14nvcaffeparser123shutdownProtobufLibraryEv");
void shutdown_caffe() {}
#endif

}  // extern "C"
}  // namespace standin
