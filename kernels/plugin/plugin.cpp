// libedgetl_plugin.so: loading it registers the head with the TensorRT that the process has.
#include <NvInferVersion.h>

#if NV_TENSORRT_MAJOR < 10
#include "head_v2.h"
#else
#include "head_v3.h"
#endif

namespace edgetl::plugin {
namespace {

// REGISTER_TENSORRT_PLUGIN would register it in no namespace.
struct Registration {
  Creator creator;
  Registration() noexcept {
    nvinfer1::IPluginRegistry *const registry = getPluginRegistry();
    if (registry != nullptr) registry->registerCreator(creator, kNamespace);
  }
};

Registration registration;

}  // namespace
}  // namespace edgetl::plugin
