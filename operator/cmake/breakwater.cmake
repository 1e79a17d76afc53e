# breakwater_library() and breakwater_binary(): the only ways a target is made in this project.
#
#   breakwater_library(NAME core HDRS a.h SRCS a.cc DEPS breakwater::api LIBS re2::re2 TESTS a_test.cc)
#
# makes `breakwater_core` (alias `breakwater::core`) and, when TESTS are given, `breakwater_core_test`
# registered with CTest under LABELS (default: unit). DEPS are libraries of this project and must obey
# the layers below; LIBS are third-party libraries; TEST_DEPS and TEST_LIBS are for the test binary only.

# Direction of dependency between layers: a layer may use the layers listed here, and nothing else.
# Source of the rule: ARCHITECTURE.md, "Layers".
set(BREAKWATER_LAYER_base "")
set(BREAKWATER_LAYER_api base)
set(BREAKWATER_LAYER_core api base)
set(BREAKWATER_LAYER_agent core base)
set(BREAKWATER_LAYER_crypto base)
set(BREAKWATER_LAYER_net base crypto)
set(BREAKWATER_LAYER_kube net api base crypto)
set(BREAKWATER_LAYER_linstor net base crypto)
set(BREAKWATER_LAYER_runtime kube api net base crypto)
set(BREAKWATER_LAYER_controllers core kube linstor crypto runtime api net base)
set(BREAKWATER_LAYER_webhook core api net base)
set(BREAKWATER_LAYERS base api core agent crypto net kube linstor runtime controllers webhook)

find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(prometheus-cpp REQUIRED COMPONENTS core)
find_package(cpprestsdk REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
if(BREAKWATER_TESTS)
  find_package(GTest REQUIRED)
endif()

add_library(breakwater_flags INTERFACE)
add_library(breakwater::flags ALIAS breakwater_flags)
target_include_directories(breakwater_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(breakwater_flags INTERFACE
  _TURN_OFF_PLATFORM_STRING            # cpprest's U() macro breaks fmt 9
  JSON_USE_IMPLICIT_CONVERSIONS=0
  BREAKWATER_VERSION="${PROJECT_VERSION}")
target_compile_options(breakwater_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Wold-style-cast -Woverloaded-virtual -Wcast-qual -Wundef
  $<$<CXX_COMPILER_ID:GNU>:-Wno-missing-field-initializers>  # designated initialisers leave defaults on purpose
  $<$<CXX_COMPILER_ID:Clang>:-Wno-missing-field-initializers -Wthread-safety>
  $<$<BOOL:${BREAKWATER_WERROR}>:-Werror>
  # g++ 12 takes the value of an empty std::optional, and a stop_callback, for uninitialised when it optimises.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
# Of the processor: return addresses and indirect jumps. The other hardening flags are in CMakePresets.json (release).
include(CheckCXXCompilerFlag)
foreach(flag -fcf-protection=full -mbranch-protection=standard)
  string(MAKE_C_IDENTIFIER "BREAKWATER_HAS${flag}" has)
  check_cxx_compiler_flag(${flag} ${has})
  if(${has} AND CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    target_compile_options(breakwater_flags INTERFACE ${flag})
  endif()
endforeach()
if(BREAKWATER_SANITIZE)
  target_compile_options(breakwater_flags INTERFACE
    -fsanitize=${BREAKWATER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(breakwater_flags INTERFACE -fsanitize=${BREAKWATER_SANITIZE})
endif()

# The agent's version is its own: an upgrade of the operator must restart no satellite, so it is not PROJECT_VERSION.
# For the agent's libraries and binary: LIBS breakwater::agent_version.
set(agent_version_file ${CMAKE_SOURCE_DIR}/operator/agent/VERSION)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${agent_version_file})
file(STRINGS ${agent_version_file} BREAKWATER_AGENT_VERSION LIMIT_COUNT 1)
add_library(breakwater_agent_version INTERFACE)
add_library(breakwater::agent_version ALIAS breakwater_agent_version)
target_compile_definitions(breakwater_agent_version INTERFACE
  BREAKWATER_AGENT_VERSION="${BREAKWATER_AGENT_VERSION}")

# A library NAME belongs to layer L when it is L or starts with L_ (core_replication is core).
function(_breakwater_layer_of name out)
  set(${out} "" PARENT_SCOPE)
  foreach(layer IN LISTS BREAKWATER_LAYERS)
    if(name STREQUAL layer OR name MATCHES "^${layer}_")
      set(${out} ${layer} PARENT_SCOPE)
    endif()
  endforeach()
endfunction()

function(_breakwater_check_layers name)
  _breakwater_layer_of(${name} layer)
  if(NOT layer)
    return()  # test beds and binaries may use everything
  endif()
  foreach(dep IN LISTS ARGN)
    string(REPLACE "breakwater::" "" dep_name "${dep}")
    _breakwater_layer_of(${dep_name} dep_layer)
    if(NOT dep_layer STREQUAL layer AND NOT dep_layer IN_LIST BREAKWATER_LAYER_${layer})
      message(FATAL_ERROR "'${name}' (layer ${layer}) must not depend on '${dep_name}' (ARCHITECTURE.md, Layers)")
    endif()
  endforeach()
endfunction()

function(breakwater_library)
  cmake_parse_arguments(arg "" "NAME" "HDRS;SRCS;DEPS;LIBS;TESTS;TEST_DEPS;TEST_LIBS;LABELS" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "breakwater_library(${arg_NAME}): unknown ${arg_UNPARSED_ARGUMENTS}")
  endif()
  _breakwater_check_layers(${arg_NAME} ${arg_DEPS})
  set(target breakwater_${arg_NAME})
  if(arg_SRCS)
    add_library(${target} STATIC ${arg_SRCS} ${arg_HDRS})
    target_link_libraries(${target} PUBLIC breakwater::flags ${arg_DEPS} ${arg_LIBS} Threads::Threads)
  else()
    add_library(${target} INTERFACE ${arg_HDRS})
    target_link_libraries(${target} INTERFACE breakwater::flags ${arg_DEPS} ${arg_LIBS} Threads::Threads)
  endif()
  add_library(breakwater::${arg_NAME} ALIAS ${target})
  if(BREAKWATER_TESTS AND arg_TESTS)
    add_executable(${target}_test ${arg_TESTS})
    target_link_libraries(${target}_test PRIVATE ${target} ${arg_TEST_DEPS} ${arg_TEST_LIBS}
      breakwater_testing_source_dir GTest::gmock GTest::gtest_main)
    # The work is done in the libraries; optimising the tests only makes the build longer.
    target_compile_options(${target}_test PRIVATE $<$<CONFIG:Debug>:-O0>)
    if(NOT arg_LABELS)
      set(arg_LABELS unit)
    endif()
    add_test(NAME ${arg_NAME} COMMAND ${target}_test)
    # The longest takes 400 s under a sanitizer on two free cores.
    set_tests_properties(${arg_NAME} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 1800)
  endif()
endfunction()

# breakwater_fuzzers(LIBRARY NAME...): fuzz_<NAME> from fuzz/<NAME>_fuzz.cc, with coverage of LIBRARY.
# Clang only. scripts/fuzz.py runs them on the seeds in fuzz/seeds/<NAME>.
function(breakwater_fuzzers library)
  if(NOT BREAKWATER_FUZZERS)
    return()
  endif()
  target_compile_options(breakwater_${library} PRIVATE -fsanitize=fuzzer-no-link)
  foreach(name IN LISTS ARGN)
    breakwater_binary(NAME fuzz_${name} SRCS fuzz/${name}_fuzz.cc DEPS breakwater::${library})
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  endforeach()
endfunction()

function(breakwater_binary)
  cmake_parse_arguments(arg "" "NAME" "SRCS;DEPS;LIBS" ${ARGN})
  add_executable(${arg_NAME} ${arg_SRCS})
  target_link_libraries(${arg_NAME} PRIVATE breakwater::flags ${arg_DEPS} ${arg_LIBS} Threads::Threads)
endfunction()
