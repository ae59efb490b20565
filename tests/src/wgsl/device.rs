//! The device, its buffers and the compiled shaders.

use std::collections::HashMap;

use wgpu::util::{BufferInitDescriptor, DeviceExt};
use wgpu::{
    Backends, BindGroupDescriptor, BindGroupEntry, Buffer, BufferDescriptor, BufferUsages, CommandEncoder,
    ComputePassDescriptor, ComputePipeline, ComputePipelineDescriptor, DeviceDescriptor, DeviceType,
    Instance, InstanceDescriptor, Limits, MapMode, PipelineCompilationOptions, PollType, Queue,
    ShaderModuleDescriptor, ShaderSource,
};

/// Chooses the kind of device.
const DEVICE_VARIABLE: &str = "GPTOSS_TEST_VULKAN";

/// What every kernel has before it.
const NUMBERS: &str = include_str!("../../wgsl/numbers.wgsl");

/// Name and source of each kernel.
pub const KERNELS: [(&str, &str); 13] = [
    ("embedding", include_str!("../../wgsl/embedding.wgsl")),
    ("norm", include_str!("../../wgsl/norm.wgsl")),
    ("linear", include_str!("../../wgsl/linear.wgsl")),
    ("angles", include_str!("../../wgsl/angles.wgsl")),
    ("rotate", include_str!("../../wgsl/rotate.wgsl")),
    ("scores", include_str!("../../wgsl/scores.wgsl")),
    ("probabilities", include_str!("../../wgsl/probabilities.wgsl")),
    ("context", include_str!("../../wgsl/context.wgsl")),
    ("residual", include_str!("../../wgsl/residual.wgsl")),
    ("router", include_str!("../../wgsl/router.wgsl")),
    ("experts", include_str!("../../wgsl/experts.wgsl")),
    ("swiglu", include_str!("../../wgsl/swiglu.wgsl")),
    ("mix", include_str!("../../wgsl/mix.wgsl")),
];

/// A Vulkan device and its queue.
#[derive(Debug)]
pub struct Device {
    name: String,
    device: wgpu::Device,
    queue: Queue,
}

impl Device {
    /// The first device that is a CPU; with `GPTOSS_TEST_VULKAN=hardware` in the environment the first that is none.
    ///
    /// # Errors
    ///
    /// A sentence with the devices that were found, if none of them will do, or with another value of the variable.
    pub fn open() -> Result<Self, String> {
        let is_software = match std::env::var_os(DEVICE_VARIABLE) {
            None => true,
            Some(value) if value == "software" => true,
            Some(value) if value == "hardware" => false,
            Some(value) => {
                return Err(format!("{DEVICE_VARIABLE} is software or hardware and not {value:?}"));
            }
        };
        let instance = Instance::new(InstanceDescriptor {
            backends: Backends::VULKAN,
            ..InstanceDescriptor::new_without_display_handle()
        });
        let adapters = pollster::block_on(instance.enumerate_adapters(Backends::VULKAN));
        let is_cpu = |adapter: &wgpu::Adapter| adapter.get_info().device_type == DeviceType::Cpu;
        let Some(adapter) = adapters.iter().find(|adapter| is_cpu(adapter) == is_software) else {
            let found: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
            return Err(if is_software {
                format!("no software Vulkan device, found {found:?}; Debian has one in mesa-vulkan-drivers")
            } else {
                format!("no Vulkan device but software, found {found:?}")
            });
        };
        let description = DeviceDescriptor {
            required_limits: Limits::default().using_resolution(adapter.limits()),
            ..DeviceDescriptor::default()
        };
        let (device, queue) =
            pollster::block_on(adapter.request_device(&description)).map_err(|error| error.to_string())?;
        Ok(Self { name: adapter.get_info().name, device, queue })
    }

    /// What the driver calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A buffer with these bytes, and zeros up to a whole word.
    #[must_use]
    pub fn upload(&self, bytes: &[u8]) -> Buffer {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().next_multiple_of(4).max(4), 0);
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
        self.device.create_buffer_init(&BufferInitDescriptor { label: None, contents: &padded, usage })
    }

    /// A buffer with these words.
    #[must_use]
    pub fn upload_words(&self, words: &[u32]) -> Buffer {
        self.upload(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// A buffer of this many words, all 0.
    #[must_use]
    pub fn new_buffer(&self, words: usize) -> Buffer {
        self.device.create_buffer(&BufferDescriptor {
            label: None,
            size: 4 * words as u64,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        })
    }

    /// An empty list of commands.
    #[must_use]
    pub fn commands(&self) -> CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Runs commands, and returns the words that are in buffers after them.
    ///
    /// # Panics
    ///
    /// If the device is lost.
    #[must_use]
    pub fn finish(&self, mut commands: CommandEncoder, buffers: &[&Buffer]) -> Vec<Vec<u32>> {
        let staging: Vec<Buffer> = buffers
            .iter()
            .map(|buffer| {
                let copy = self.device.create_buffer(&BufferDescriptor {
                    label: None,
                    size: buffer.size(),
                    usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                commands.copy_buffer_to_buffer(buffer, 0, &copy, 0, buffer.size());
                copy
            })
            .collect();
        self.queue.submit([commands.finish()]);
        for copy in &staging {
            copy.map_async(MapMode::Read, .., |result| result.expect("the buffer is made for reading"));
        }
        self.device.poll(PollType::wait_indefinitely()).expect("the device works");
        staging
            .iter()
            .map(|copy| {
                let bytes = copy.get_mapped_range(..).expect("the buffer was mapped");
                let (words, _) = bytes.as_chunks::<4>();
                words.iter().map(|&word| u32::from_le_bytes(word)).collect()
            })
            .collect()
    }
}

/// The shaders, compiled for a device.
#[derive(Debug)]
pub struct Kernels<'a> {
    /// Where they run.
    pub device: &'a Device,
    pipelines: HashMap<&'static str, ComputePipeline>,
}

impl<'a> Kernels<'a> {
    /// Compiles the shaders with these switches on.
    ///
    /// # Panics
    ///
    /// If a shader is not valid, or none has a switch.
    #[must_use]
    pub fn new(device: &'a Device, switches: &[&str]) -> Self {
        let mut unknown = switches.to_vec();
        let mut pipelines = HashMap::new();
        for (name, source) in KERNELS {
            let here: Vec<(&str, f64)> = switches
                .iter()
                .filter(|switch| source.contains(&format!("override {switch}: bool")))
                .map(|&switch| (switch, 1.0))
                .collect();
            unknown.retain(|switch| here.iter().all(|(known, _)| known != switch));
            pipelines.insert(name, compile(device, name, source, &here));
        }
        assert!(unknown.is_empty(), "no shader has the switches {unknown:?}");
        Self { device, pipelines }
    }

    /// Compiles one more shader of this name.
    ///
    /// # Panics
    ///
    /// If it is not valid.
    #[must_use]
    pub fn with(mut self, name: &'static str, source: &str) -> Self {
        self.pipelines.insert(name, compile(self.device, name, source, &[]));
        self
    }

    /// Adds to `commands` a run of kernel `name` over `groups` workgroups: binding 0 has the words of `shape`, and those
    /// from 1 on are `buffers`.
    ///
    /// # Panics
    ///
    /// If there is no such kernel.
    pub fn dispatch(
        &self,
        commands: &mut CommandEncoder,
        name: &str,
        shape: &[u32],
        buffers: &[&Buffer],
        groups: [usize; 3],
    ) {
        let device = &self.device.device;
        let mut words = shape.to_vec();
        words.resize(shape.len().next_multiple_of(4), 0);
        let uniform = device.create_buffer_init(&BufferInitDescriptor {
            label: None,
            contents: &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>(),
            usage: BufferUsages::UNIFORM,
        });
        let pipeline = self.pipelines.get(name).expect("a kernel of this name");
        let entries: Vec<BindGroupEntry<'_>> = std::iter::once(&uniform)
            .chain(buffers.iter().copied())
            .zip(0..)
            .map(|(buffer, binding)| BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let bindings = device.create_bind_group(&BindGroupDescriptor {
            label: Some(name),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let mut pass = commands.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        let [x, y, z] = groups.map(|count| count as u32);
        pass.dispatch_workgroups(x, y, z);
    }
}

fn compile(device: &Device, name: &str, source: &str, constants: &[(&str, f64)]) -> ComputePipeline {
    let module = device.device.create_shader_module(ShaderModuleDescriptor {
        label: Some(name),
        source: ShaderSource::Wgsl(format!("{NUMBERS}\n{source}").into()),
    });
    device.device.create_compute_pipeline(&ComputePipelineDescriptor {
        label: Some(name),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: PipelineCompilationOptions {
            constants,
            ..PipelineCompilationOptions::default()
        },
        cache: None,
    })
}
